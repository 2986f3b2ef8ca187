/* ctx_switch.S - save what a C function must keep, change stacks, restore it.
 *
 * void ctx_jump(void **save_sp, void *load_sp). A file of its own rather than inline assembly so
 * that it can say in its note which protections it supports: indirect branch tracking and BTI yes,
 * shadow stacks no (a new stack would need a shadow stack of its own). The linker then leaves them
 * off for the program instead of letting it die at the first switch. Floating-point control words
 * are not saved: nothing here changes them.
 */
#include "config.h"

#if !defined(TASKS_UCONTEXT) && defined(__x86_64__)

	.text
	.globl	ctx_jump
	.hidden	ctx_jump
	.type	ctx_jump, @function
	.balign	16
ctx_jump:
	.cfi_startproc
	endbr64
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, (%rdi)
	mov	%rsi, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret
	.cfi_endproc
	.size	ctx_jump, . - ctx_jump

	.section .note.gnu.property, "a", @note
	.balign	8
	.long	4, 16, 5		/* name size, data size, NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0	/* X86_FEATURE_1_AND: IBT only */

#elif !defined(TASKS_UCONTEXT) && defined(__aarch64__)

	.text
	.globl	ctx_jump
	.hidden	ctx_jump
	.type	ctx_jump, %function
	.balign	16
ctx_jump:
	.cfi_startproc
	hint	#34			/* bti c */
	stp	x29, x30, [sp, #-160]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mov	x9, sp
	str	x9, [x0]
	mov	sp, x1
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	ldp	x29, x30, [sp], #160
	ret
	.cfi_endproc
	.size	ctx_jump, . - ctx_jump

	.section .note.gnu.property, "a", %note
	.balign	8
	.long	4, 16, 5		/* name size, data size, NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0	/* AARCH64_FEATURE_1_AND: BTI only */

#endif

	.section .note.GNU-stack, "", %progbits
