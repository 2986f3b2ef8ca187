/* Passwords, sessions, certificates and keys, asked of the running vault role. */
#include "role/vault_test.h"

/* ---- tests ---- */

static void logs_in(void)
{
	add("%s ", set_password("ann@example.test", "pencil"));
	add("%s ", login("ann@example.test", "pencil"));
	add("front %u scopes %u ", store.granted_front, store.granted_scopes);
	add("%s ", login("ann.b@example.test", "pencil"));
	add("%s %s ", login("ann@example.test", "Pencil"), login("ann@example.test", ""));
	add("grants %d", store.grants);
}

static void the_right_password_grants_to_that_front_and_no_other_does(void **state)
{
	(void)state;
	with_vault(logs_in, OPEN_SETTINGS);
	assert_string_equal(trace, "set in front 40 scopes 1 in denied denied grants 2");
}

/* T031: count hashes, not time. */
static void count_work(const char *name, const char *password)
{
	uint64_t before = verifier_checks();
	const char *said = login(name, password);

	add("%s %d '%s' ", said, (int)(verifier_checks() - before), err.msg);
}

#define DENIED_ONCE "denied 1 'wrong name or password' "

static void counts_work(void)
{
	add("%s ", set_password("ann@example.test", "pencil"));
	count_work("ann@example.test", "wrong");
	count_work("nobody@example.test", "wrong");
	count_work("not\na name", "wrong");
	store.enabled = false;
	count_work("ann@example.test", "pencil");
}

static void unknown_and_disabled_accounts_cost_and_say_what_a_wrong_password_does(void **state)
{
	(void)state;
	with_vault(counts_work, OPEN_SETTINGS);
	assert_string_equal(trace, "set " DENIED_ONCE DENIED_ONCE DENIED_ONCE DENIED_ONCE);
}

static void logs_in_often(void)
{
	uint64_t before;

	add("%s ", set_password("ann@example.test", "pencil"));
	before = verifier_checks();
	for (int i = 0; i < 5; i++)
		add("%s ", login("ann@example.test", "pencil"));
	add("hashes %d ", (int)(verifier_checks() - before));
	add("%s ", set_password("ann@example.test", "brush"));
	add("revokes %d ", store.revokes);
	before = verifier_checks();
	add("%s %s ", login("ann@example.test", "pencil"), login("ann@example.test", "brush"));
	add("hashes %d", (int)(verifier_checks() - before));
}

static void a_right_password_is_hashed_once_until_it_changes(void **state)
{
	(void)state;
	with_vault(logs_in_often, OPEN_SETTINGS);
	assert_string_equal(trace, "set in in in in in hashes 1 set revokes 2 denied in hashes 2");
}

static void guesses(void)
{
	add("%s ", set_password("ann@example.test", "pencil"));
	for (int i = 0; i < 4; i++)
		add("%s ", login("ann@example.test", "guess"));
	add("%s", login("ann.b@example.test", "pencil"));
}

static void too_many_guesses_are_refused_and_so_is_a_right_one_then(void **state)
{
	(void)state;
	with_vault(guesses,
		"hostname mail.example.test; auth.account-attempts 3;"
		"auth.network-attempts 0; auth.window 1h;");
	assert_string_equal(trace, "set denied denied denied limit limit");
}

static void comes_again(void)
{
	struct channel *other = connect_as(WHO_SUBMIT, 50);

	add("%s ", set_password("ann@example.test", "pencil"));
	add("%s ", login("ann@example.test", "pencil"));
	add("%s ", regrant(front));
	add("other %s ", regrant(other));
	session[10] ^= 1;
	add("changed %s ", regrant(front));
	session[10] ^= 1;
	store.enabled = false;
	add("disabled %s ", regrant(front));
	store.enabled = true;
	add("%s ", regrant(front));
	add("%s ", set_password("ann@example.test", "pencil"));
	add("new password %s", regrant(front));
	channel_close(&other);
}

static void a_session_is_granted_again_on_its_front_while_the_password_stands(void **state)
{
	(void)state;
	with_vault(comes_again, OPEN_SETTINGS);
	assert_string_equal(trace,
		"set in in other denied changed denied disabled denied in set new password denied");
}

static void oversteps(void)
{
	add("%s ", set_password("ann@example.test", "pencil"));
	add("%s ", login_at(front, SERVICE_IMAP, "ann@example.test", "pencil"));
	add("grants %d", store.grants);
}

static void a_front_may_log_in_for_its_own_services_only(void **state)
{
	(void)state;
	with_vault(oversteps, OPEN_SETTINGS);
	assert_string_equal(trace, "set closed grants 0");
}

static void store_refuses(void)
{
	add("%s ", set_password("ann@example.test", "pencil"));
	store.refuse_grants = true;
	add("%s ", login("ann@example.test", "pencil"));
	add("%s %s", set_password("nobody@example.test", "x"),
		set_password("ann@example.test", ""));
}

static void without_the_stores_word_there_is_no_login(void **state)
{
	(void)state;
	with_vault(store_refuses, OPEN_SETTINGS);
	assert_string_equal(trace, "set temporary not-found permanent");
}

static void make_identity(struct buf *ca)
{
	struct vault_identity_make_req q = { .names = STR("localhost,127.0.0.1"), .days = 30 };
	struct vault_identity_make_rep a;
	struct reply hold = { 0 };

	if (vault_identity_make(operator_channel, &q, NEVER, &a, &hold, &err) < 0)
		add("make: %s ", err.msg);
	else
		buf_add(ca, a.ca);
	reply_free(&hold);
}

static uint32_t first_identity(void)
{
	struct vault_identities_req q = { 0 };
	struct vault_identities_rep a;
	struct vault_identity id = { 0 };
	struct reply hold = { 0 };
	int n = 0;

	if (vault_identities(front, &q, NEVER, &a, &hold, &err) < 0)
		add("identities: %s ", err.msg);
	else
		while (vault_identity_next(&a.items, &id))
			n++;
	add("%d " STR_F " ", n, STR_A(id.names));
	reply_free(&hold);
	return id.key;
}

static void sign(uint32_t key)
{
	static const char digest[32] = "a digest of thirty-two bytes....";
	struct vault_sign_req q = { .key = key, .algorithm = STR("ecdsa") };
	struct vault_sign_rep a;
	struct reply hold = { 0 };

	q.data = str_make(digest, sizeof digest);
	err = ERR_INIT;
	if (vault_sign(front, &q, NEVER, &a, &hold, &err) < 0)
		add("%s ", err_kind_name(err.kind));
	else
		add("%s ", a.signature.n > 60 ? "signed" : "short");
	reply_free(&hold);
}

static void has_identities(void)
{
	struct vault_status_req q = { 0 };
	struct vault_status_rep a;
	struct reply hold = { 0 };
	struct buf ca = BUF(8192);
	uint32_t key;

	first_identity();
	make_identity(&ca);
	add("ca %d ", str_starts(buf_str(&ca), STR("-----BEGIN CERTIFICATE-----")));
	key = first_identity();
	sign(key);
	sign(key + 1);
	make_identity(&ca);
	add("new key %d ", first_identity() != key);
	if (vault_status(operator_channel, &q, NEVER, &a, &hold, &err) == 0)
		add("status %u " STR_F " changed %d", a.identities, STR_A(a.names), changed);
	reply_free(&hold);
	buf_free(&ca);
}

static void certificates_are_made_kept_and_signed_with(void **state)
{
	(void)state;
	with_vault(has_identities, OPEN_SETTINGS);
	assert_string_equal(trace,
		"0  ca 1 1 localhost,127.0.0.1 signed not-found 1 "
		"localhost,127.0.0.1 new key 1 status 1 localhost,127.0.0.1 changed 2");
}

static void get_tickets(struct channel *ch, struct buf *keys)
{
	struct vault_ticket_keys_req q = { 0 };
	struct vault_ticket_keys_rep a;
	struct reply hold = { 0 };

	if (vault_ticket_keys(ch, &q, NEVER, &a, &hold, &err) == 0) {
		buf_add(keys, a.keys);
		add("%zu %d ", a.keys.n, a.rotate_after > 12 * 3600 - 60);
	}
	reply_free(&hold);
}

static void fetches_tickets(void)
{
	struct channel *mx = connect_as(WHO_MX, 51), *submit = connect_as(WHO_SUBMIT, 52);
	struct buf a = BUF(512), b = BUF(512), c = BUF(512);

	get_tickets(front, &a);
	get_tickets(mx, &b);
	get_tickets(submit, &c);
	add("%d %d", str_eq(buf_str(&a), buf_str(&b)), str_eq(buf_str(&a), buf_str(&c)));
	buf_free(&a);
	buf_free(&b);
	buf_free(&c);
	channel_close(&mx);
	channel_close(&submit);
}

/* T023 */
static void ticket_keys_are_shared_within_a_class_only(void **state)
{
	(void)state;
	with_vault(fetches_tickets, OPEN_SETTINGS);
	assert_string_equal(trace, "80 1 80 1 80 1 0 1");
}

static void uses_provider(void)
{
	struct channel *courier = connect_as(WHO_COURIER, 60);
	struct vault_provider_set_req s = { .route = STR("smarthost"),
		.user = STR("us@provider.test"),
		.password = STR("secret") };
	struct vault_provider_set_rep sa;
	struct vault_provider_req q = { .route = STR("smarthost") };
	struct vault_provider_rep a;
	struct reply hold = { 0 };

	if (vault_provider(courier, &q, NEVER, &a, &hold, &err) < 0)
		add("%s ", err_kind_name(err.kind));
	add("%d ", vault_provider_set(operator_channel, &s, NEVER, &sa, NULL, &err));
	add("plain %d ",
		str_search(buf_str(&store.secret[0].sealed), STR("secret")) <
			store.secret[0].sealed.n);
	if (vault_provider(courier, &q, NEVER, &a, &hold, &err) == 0)
		add(STR_F " " STR_F " ", STR_A(a.user), STR_A(a.password));
	reply_free(&hold);
	add("front %d", vault_provider(front, &q, NEVER, &a, &hold, &err));
	reply_free(&hold);
	channel_close(&courier);
}

static void a_providers_password_is_sealed_and_for_the_courier_only(void **state)
{
	(void)state;
	with_vault(uses_provider, OPEN_SETTINGS);
	assert_string_equal(trace, "not-found 0 plain 0 us@provider.test secret front -1");
}

/* ---- the gate (T030) ---- */

static atomic_int inside, most_inside;
static int finished;
static struct hash_gate gate;
static char order[16];

static int count_inside(void *arg, struct err *why)
{
	int now = atomic_fetch_add(&inside, 1) + 1;

	(void)arg;
	(void)why;
	if (now > atomic_load(&most_inside))
		atomic_store(&most_inside, now);
	usleep(1000); /* long enough for the others to press */
	atomic_fetch_sub(&inside, 1);
	return 0;
}

static void hash_one(void *arg)
{
	struct err why = ERR_INIT;
	const char *who = arg;

	if (hash_gate_run(&gate, *who == 'k', count_inside, NULL, &why) == 0 &&
		strlen(order) + 1 < sizeof order)
		strncat(order, who, 1);
	finished++;
}

static void storm(void *arg)
{
	static char stranger[] = "s", known[] = "k";
	struct task_group *g = task_group_new("storm");

	(void)arg;
	hash_gate_begin(&gate, 2);
	for (int i = 0; i < 100; i++)
		task_spawn(g, "hash", hash_one, stranger, &err);
	task_spawn(g, "hash", hash_one, known, &err);
	task_group_join(g);
	task_group_end(&g);
}

static void few_hashes_run_at_once_and_known_users_go_first(void **state)
{
	(void)state;
	finished = 0;
	order[0] = 0;
	assert_int_equal(rt_main(storm, NULL, &err), 0);
	assert_int_equal(finished, 101);
	assert_int_equal(atomic_load(&most_inside), 2);
	assert_non_null(strchr(order, 'k')); /* among the first dozen of a hundred */
	assert_int_equal(gate.running, 0);
	assert_int_equal(gate.waiting, 0);
}

static void cancelled_storm(void *arg)
{
	static char stranger[] = "s";
	struct task_group *g = task_group_new("storm");

	(void)arg;
	hash_gate_begin(&gate, 1);
	for (int i = 0; i < 20; i++)
		task_spawn(g, "hash", hash_one, stranger, &err);
	task_yield();
	task_group_end(&g);
}

static void those_who_give_up_leave_the_line(void **state)
{
	(void)state;
	assert_int_equal(rt_main(cancelled_storm, NULL, &err), 0);
	assert_int_equal(gate.running, 0);
	assert_int_equal(gate.waiting, 0);
}

static int check_seal(void)
{
	struct vault v = { .r = &role, .store = &store_link };
	struct err why = ERR_INIT;
	int r = -1;

	if (seal_load(seal_fd, &v.seal, &why) == 0)
		r = vault_seal_check(&v, &why);
	seal_free(&v.seal);
	return r;
}

static void starts_on_a_full_disk(void)
{
	store.full = true;
	add("%d ", check_seal());
	store.full = false;
	add("%s ", set_password("ann@example.test", "pencil"));
	store.full = true;
	add("%d ", check_seal());
	add("%s ", find_secret(SECRET_MARK, STR("seal")) ? "marked" : "unmarked");
	store.full = false;
	add("%d ", check_seal());
	add("%s", find_secret(SECRET_MARK, STR("seal")) ? "marked" : "unmarked");
}

/* T167: a key that opens what is there is the right one. */
static void a_database_without_room_for_the_mark_is_used_by_who_can_read_it(void **state)
{
	(void)state;
	with_vault(starts_on_a_full_disk, OPEN_SETTINGS);
	assert_string_equal(trace, "-1 set 0 unmarked 0 marked");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_password_grants_to_that_front_and_no_other_does),
		cmocka_unit_test(
			unknown_and_disabled_accounts_cost_and_say_what_a_wrong_password_does),
		cmocka_unit_test(a_right_password_is_hashed_once_until_it_changes),
		cmocka_unit_test(too_many_guesses_are_refused_and_so_is_a_right_one_then),
		cmocka_unit_test(a_session_is_granted_again_on_its_front_while_the_password_stands),
		cmocka_unit_test(a_front_may_log_in_for_its_own_services_only),
		cmocka_unit_test(without_the_stores_word_there_is_no_login),
		cmocka_unit_test(certificates_are_made_kept_and_signed_with),
		cmocka_unit_test(ticket_keys_are_shared_within_a_class_only),
		cmocka_unit_test(a_providers_password_is_sealed_and_for_the_courier_only),
		cmocka_unit_test(few_hashes_run_at_once_and_known_users_go_first),
		cmocka_unit_test(those_who_give_up_leave_the_line),
		cmocka_unit_test(a_database_without_room_for_the_mark_is_used_by_who_can_read_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
