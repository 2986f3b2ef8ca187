/* undef.h - ends one pass over the tables: takes back the meanings that it gave to the forms. Meant
 * to be included many times. */
#undef RECORD
#undef ONEWAY
#undef CALL
#undef F_U8
#undef F_U32
#undef F_U64
#undef F_I64
#undef F_STR
#undef F_BYTES
#undef F_SECRET
#undef F_SEQ
#undef F_FD
