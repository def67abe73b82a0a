/* Every function of the interface: what it does, and that bad input is a code that writes nothing. */
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *folder;

static vidcache_user user_42(void) { return vidcache_user_id(42); }

static void versions_are_the_header_s(void)
{
  EQUAL(VIDCACHE_ABI_VERSION, vidcache_abi_version());
  CHECK(strcmp(VIDCACHE_VERSION, vidcache_version()) == 0);
  char parts[32];
  snprintf(parts, sizeof parts, "%d.%d.%d", VIDCACHE_VERSION_MAJOR, VIDCACHE_VERSION_MINOR, VIDCACHE_VERSION_PATCH);
  CHECK(strcmp(VIDCACHE_VERSION, parts) == 0);
}

static void a_user_changes_their_email(void)
{
  vidcache_handle *cache = open_cache(path_in(folder, "change"));
  vidcache_user user = user_42();
  vidcache_identity identity;
  EQUAL(VIDCACHE_OK, vidcache_resolve(cache, &user, &identity));
  EQUAL(0, identity.vid);

  vidcache_recorded recorded;
  EQUAL(VIDCACHE_OK, vidcache_record(cache, &user, STR(ANSWER("901", "ann@shop.test", "00")), 0, &recorded));
  EQUAL(901, recorded.vid);
  CHECK(recorded.email_observed);
  EQUAL(VIDCACHE_OK, vidcache_resolve(cache, &user, &identity));
  EQUAL(901, identity.vid);
  EQUAL(901, identity.external_id);

  vidcache_decision decision;
  EQUAL(VIDCACHE_OK, vidcache_decide(cache, &user, STR(" Ann@Shop.test"), &decision));
  EQUAL(VIDCACHE_REASON_AGREED, decision.reason);
  EQUAL(901, decision.id);
  CHECK(strcmp(decision.email, "ann@shop.test") == 0);
  EQUAL(strlen("ann@shop.test"), decision.email_len);
  EQUAL(VIDCACHE_OK, vidcache_decide(cache, &user, NULL, 0, &decision));
  EQUAL(VIDCACHE_REASON_EMAIL_ABSENT, decision.reason);
  CHECK(decision.email_len == 0 && decision.email[0] == '\0');

  int64_t token = 0;
  EQUAL(VIDCACHE_OK, vidcache_begin_email_change(cache, &user, &token));
  CHECK(token > 0);
  EQUAL(VIDCACHE_OK, vidcache_decide(cache, &user, STR("ann@shop.test"), &decision));
  EQUAL(VIDCACHE_REASON_CHANGE_OUTSTANDING, decision.reason);
  EQUAL(0, decision.email_len);
  bool outstanding = false;
  EQUAL(VIDCACHE_OK, vidcache_is_change_outstanding(cache, &user, token, &outstanding));
  CHECK(outstanding);
  int64_t begun_at = 0;
  outstanding = false;
  EQUAL(VIDCACHE_OK, vidcache_change_outstanding_since(cache, &user, token, &begun_at, &outstanding));
  CHECK(outstanding && begun_at / 1000 <= time(NULL) && begun_at / 1000 > time(NULL) - 60);

  int64_t lease = 0, second = 1;
  bool released = false;
  EQUAL(VIDCACHE_OK, vidcache_lease(cache, &user, 60000, 0, &lease));
  EQUAL(VIDCACHE_OK, vidcache_lease(cache, &user, 60000, 0, &second));
  CHECK(lease > 0 && second == 0);
  EQUAL(VIDCACHE_OK, vidcache_lease(cache, &user, 60000, lease, &second));
  CHECK(second == lease);
  EQUAL(VIDCACHE_OK, vidcache_release(cache, &user, lease, &released));
  CHECK(released);
  EQUAL(VIDCACHE_OK, vidcache_lease(cache, &user, 60000, lease, &second));
  CHECK(second == 0);

  vidcache_stale_change stale[2];
  size_t count = 9;
  usleep(2000); /* by the clock, the change is older than 0 ms */
  EQUAL(VIDCACHE_OK, vidcache_stale_changes(cache, 0, stale, 2, &count));
  EQUAL(1, count);
  EQUAL(token, stale[0].token);
  CHECK(strcmp(stale[0].user, "42") == 0 && stale[0].user_len == 2 && stale[0].begun_at > 0);
  EQUAL(VIDCACHE_OK, vidcache_stale_changes(cache, 0, NULL, 0, &count));
  EQUAL(0, count);

  EQUAL(VIDCACHE_OK, vidcache_record(cache, &user, STR(ANSWER("901", "ann@home.test", "05")), token, &recorded));
  EQUAL(VIDCACHE_OK, vidcache_is_change_outstanding(cache, &user, token, &outstanding));
  CHECK(!outstanding);
  outstanding = true;
  EQUAL(VIDCACHE_OK, vidcache_change_outstanding_since(cache, &user, token, &begun_at, &outstanding));
  CHECK(!outstanding && begun_at == 0);
  EQUAL(VIDCACHE_OK, vidcache_decide(cache, &user, STR("ann@home.test"), &decision));
  EQUAL(VIDCACHE_REASON_AGREED, decision.reason);

  vidcache_key keys[2];
  EQUAL(VIDCACHE_OK, vidcache_users_of(cache, 901, keys, 2, &count));
  CHECK(count == 1 && strcmp(keys[0].user, "42") == 0 && keys[0].user_len == 2);
  EQUAL(VIDCACHE_OK, vidcache_users_of(cache, 901, NULL, 0, &count));
  EQUAL(1, count); /* there are more than were asked for */
  int32_t why = 9;
  EQUAL(VIDCACHE_OK, vidcache_refusal(cache, &user, &why));
  EQUAL(0, why);
  EQUAL(VIDCACHE_OK, vidcache_conflicts(cache, NULL, NULL, 0, &count));
  EQUAL(0, count);

  EQUAL(VIDCACHE_OK, vidcache_begin_email_change(cache, &user, &token));
  EQUAL(VIDCACHE_OK, vidcache_abandon_email_change(cache, &user, token));
  EQUAL(VIDCACHE_OK, vidcache_abandon_email_change(cache, &user, token));

  bool known = false;
  EQUAL(VIDCACHE_OK, vidcache_resolve(cache, &user, &identity));
  EQUAL(VIDCACHE_OK, vidcache_recall(cache, &user, &identity, &known));
  /* Valgrind cannot map the WAL index a second time; then there is no table, and recall knows nobody. */
  const bool table = getenv("VALGRIND") == NULL;
  CHECK(known == table);
  EQUAL(table ? 901 : 0, identity.vid);
  vidcache_user other = vidcache_user_text(STR("somebody else"));
  EQUAL(VIDCACHE_OK, vidcache_recall(cache, &other, &identity, &known));
  CHECK(!known);
  EQUAL(0, identity.vid);

  vidcache_stats stats;
  stats.size = sizeof stats;
  EQUAL(VIDCACHE_OK, vidcache_get_stats(cache, &stats));
  if (table)
    CHECK(stats.hits > 0 && stats.entries == 1 && stats.fallback == NULL && stats.last_error == VIDCACHE_OK);
  else
    CHECK(stats.misses > 0 && stats.entries == 0 && stats.fallback != NULL && stats.fallback_len > 0);
  int64_t portal = 0;
  EQUAL(VIDCACHE_OK, vidcache_portal(cache, &portal));
  EQUAL(PORTAL, portal);
  vidcache_text *problems = NULL;
  EQUAL(VIDCACHE_OK, vidcache_verify(cache, &problems, &count));
  EQUAL(0, count);
  const char *bytes = NULL;
  size_t length = 9;
  EQUAL(VIDCACHE_OK, vidcache_text_get(problems, &bytes, &length));
  CHECK(bytes != NULL && length == 0);
  vidcache_text_free(&problems);
  CHECK(problems == NULL);
  vidcache_free(&cache);
}

static void users_are_imported(void)
{
  vidcache_handle *cache = open_cache(path_in(folder, "import"));
  vidcache_import_row rows[3];
  memset(rows, 0, sizeof rows);
  rows[0].user = vidcache_user_text(STR("0188d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d"));
  rows[0].vid = 1;
  rows[0].email = "bea@shop.test";
  rows[0].email_len = strlen(rows[0].email);
  rows[0].email_at = INT64_C(1767225600000);
  rows[1].user = vidcache_user_id(7);
  rows[1].vid = 2;
  rows[2].user = vidcache_user_id(8);
  rows[2].vid = 2;
  vidcache_import_report report;
  EQUAL(VIDCACHE_OK, vidcache_import(cache, rows, 3, &report));
  EQUAL(2, report.imported);
  EQUAL(1, report.vid_taken);
  EQUAL(VIDCACHE_OK, vidcache_import(cache, NULL, 0, &report));
  EQUAL(0, report.imported);
  vidcache_decision decision;
  EQUAL(VIDCACHE_OK, vidcache_decide(cache, &rows[0].user, STR("bea@shop.test"), &decision));
  EQUAL(VIDCACHE_REASON_AGREED, decision.reason);

  vidcache_user nine = vidcache_user_id(9);
  EQUAL(VIDCACHE_VID_TAKEN, vidcache_link(cache, &nine, 2));
  vidcache_error error;
  error.size = sizeof error;
  EQUAL(VIDCACHE_OK, vidcache_last_error(&error));
  EQUAL(VIDCACHE_VID_TAKEN, error.code);
  EQUAL(2, error.vid);
  CHECK(strlen(error.message) == error.message_len && strstr(error.message, "linked to user 7 already"));
  rows[2].vid = -1;
  EQUAL(VIDCACHE_INVALID_VID, vidcache_import(cache, rows, 3, &report));
  EQUAL(VIDCACHE_OK, vidcache_close(cache));
  vidcache_free(&cache);
}

static void a_snippet_goes_into_a_buffer_or_says_how_large_it_is(void)
{
  vidcache_handle *cache = open_cache(path_in(folder, "snippet"));
  vidcache_user user = user_42();
  vidcache_recorded recorded;
  EQUAL(VIDCACHE_OK, vidcache_record(cache, &user, STR(ANSWER("901", "ann@shop.test", "00")), 0, &recorded));
  size_t needed = 0, length = 0;
  EQUAL(VIDCACHE_BUFFER_TOO_SMALL,
        vidcache_snippet(cache, &user, STR("ann@shop.test"), STR("n0nce"), NULL, 0, &needed));
  CHECK(needed > 1000 && needed < 4000);
  char *buffer = malloc(needed);
  CHECK(buffer != NULL);
  memset(buffer, 'x', needed);
  EQUAL(VIDCACHE_BUFFER_TOO_SMALL,
        vidcache_snippet(cache, &user, STR("ann@shop.test"), STR("n0nce"), buffer, needed - 1, &length));
  EQUAL(needed, length);
  CHECK(buffer[0] == '\0' && buffer[needed - 2] == '\0' && buffer[needed - 1] == 'x');
  /* As large as it must be: one byte more would be seen by the sanitizer. */
  EQUAL(VIDCACHE_OK, vidcache_snippet(cache, &user, STR("ann@shop.test"), STR("n0nce"), buffer, needed, &length));
  EQUAL(needed, length);
  CHECK(memcmp(buffer, STR("<script id=\"v-")) == 0 && memcmp(buffer + length - 9, STR("</script>")) == 0);
  CHECK(memmem(buffer, 60, STR(" nonce=\"n0nce\">")) != NULL);
  CHECK(memmem(buffer, length, STR("\"id\":\"vid:901\",\"email\":\"ann@shop.test\"")) != NULL);
  EQUAL(VIDCACHE_OK, vidcache_anonymous_snippet(cache, NULL, 0, buffer, needed, &length));
  CHECK(length < needed && memmem(buffer, length, STR("\"id\":")) == NULL);
  EQUAL(VIDCACHE_BUFFER_TOO_SMALL, vidcache_anonymous_snippet(cache, NULL, 0, buffer, 10, &length));
  EQUAL(VIDCACHE_OK, vidcache_signed_out_snippet(cache, STR("n0nce"), buffer, needed, &length));
  CHECK(memmem(buffer, length, STR("\"out\":true")) != NULL && memmem(buffer, length, STR("\"id\":")) == NULL);
  EQUAL(VIDCACHE_BUFFER_TOO_SMALL, vidcache_signed_out_snippet(cache, NULL, 0, NULL, 0, &length));
  CHECK(length > 1000 && length < needed);
  free(buffer);
  vidcache_free(&cache);
}

static void a_page_s_data_goes_into_a_buffer_or_says_how_large_it_is(void)
{
  vidcache_handle *cache = open_cache(path_in(folder, "data"));
  vidcache_user user = user_42();
  vidcache_recorded recorded;
  EQUAL(VIDCACHE_OK, vidcache_record(cache, &user, STR(ANSWER("901", "ann@shop.test", "00")), 0, &recorded));
  size_t needed = 0, length = 0;
  EQUAL(VIDCACHE_BUFFER_TOO_SMALL, vidcache_page_data(cache, &user, STR("ann@shop.test"), NULL, 0, &needed));
  CHECK(needed > 50 && needed < 200);
  char *buffer = malloc(needed);
  CHECK(buffer != NULL);
  memset(buffer, 'x', needed);
  EQUAL(VIDCACHE_BUFFER_TOO_SMALL, vidcache_page_data(cache, &user, STR("ann@shop.test"), buffer, needed - 1, &length));
  EQUAL(needed, length);
  CHECK(buffer[0] == '\0' && buffer[needed - 2] == '\0' && buffer[needed - 1] == 'x');
  /* As large as it must be: one byte more would be seen by the sanitizer. */
  EQUAL(VIDCACHE_OK, vidcache_page_data(cache, &user, STR("ann@shop.test"), buffer, needed, &length));
  EQUAL(needed, length);
  CHECK(memcmp(buffer, STR("{\"at\":")) == 0 && buffer[length - 1] == '}');
  CHECK(memmem(buffer, length, STR(",\"ttl\":10000,\"id\":\"vid:901\",\"email\":\"ann@shop.test\"}")) != NULL);
  /* A visitor whom the app does not know, and whoever has signed out, has neither. */
  EQUAL(VIDCACHE_OK, vidcache_page_data(cache, NULL, STR("ann@shop.test"), buffer, needed, &length));
  CHECK(memmem(buffer, length, STR("\"id\":")) == NULL && memmem(buffer, length, STR("ann@")) == NULL);
  EQUAL(VIDCACHE_OK, vidcache_signed_out_page_data(cache, buffer, needed, &length));
  CHECK(memmem(buffer, length, STR(",\"out\":true}")) != NULL && memmem(buffer, length, STR("\"id\":")) == NULL);
  EQUAL(VIDCACHE_BUFFER_TOO_SMALL, vidcache_signed_out_page_data(cache, buffer, 10, &length));
  CHECK(length > 10 && length < needed && buffer[0] == '\0');
  free(buffer);
  vidcache_free(&cache);
}

static void the_quiet_period_is_that_of_the_longest_page_deadline(void)
{
  const char *path = path_in(folder, "quiet");
  vidcache_handle *cache = open_cache(path);
  uint64_t period = 0;
  EQUAL(VIDCACHE_OK, vidcache_quiet_period(cache, &period));
  EQUAL(15000, period);
  vidcache_options options;
  options.size = sizeof options;
  EQUAL(VIDCACHE_OK, vidcache_options_init(&options));
  options.secret = SECRET;
  options.secret_len = strlen(SECRET);
  options.page_deadline_ms = 60000;
  vidcache_handle *other = NULL;
  EQUAL(VIDCACHE_OK, vidcache_open(path, strlen(path), PORTAL, &options, &other));
  vidcache_free(&other);
  EQUAL(VIDCACHE_OK, vidcache_quiet_period(cache, &period));
  EQUAL(65000, period);
  vidcache_free(&cache);
}

/* Filled with a pattern, so that a failed call that writes an output is seen. */
static struct outputs {
  vidcache_identity identity;
  vidcache_decision decision;
  vidcache_recorded recorded;
  vidcache_import_report report;
  vidcache_stale_change change;
  vidcache_conflict conflict;
  vidcache_key key;
  int32_t why;
  bool flag;
  int64_t number;
  size_t length;
  uint64_t period;
  char buffer[4096];
  vidcache_text *text;
  vidcache_observed *observed;
  vidcache_webhook_report webhook;
  const int64_t *vids;
  const char *bytes;
  vidcache_handle *handle;
} out, untouched;

#define REFUSED(code, call) \
  do { \
    memset(&out, 0x5a, sizeof out); \
    EQUAL(code, call); \
    CHECK(memcmp(&out, &untouched, sizeof out) == 0); \
  } while (0)

static void null_is_a_code_in_every_place(void)
{
  vidcache_handle *cache = open_cache(path_in(folder, "null"));
  vidcache_user user = user_42(), none, textless = vidcache_user_text(NULL, 0);
  memset(&none, 0, sizeof none);
  const int option = VIDCACHE_INVALID_OPTION, key = VIDCACHE_INVALID_USER_KEY;

  REFUSED(option, vidcache_open(NULL, 0, PORTAL, NULL, &out.handle));
  REFUSED(option, vidcache_open(NULL, 5, PORTAL, NULL, &out.handle));
  REFUSED(option, vidcache_open(STR("/dev/null/x"), PORTAL, NULL, NULL));
  REFUSED(option, vidcache_close(NULL));
  REFUSED(option, vidcache_portal(NULL, &out.number));
  REFUSED(option, vidcache_portal(cache, NULL));
  REFUSED(option, vidcache_options_init(NULL));
  REFUSED(option, vidcache_last_error(NULL));

#define USER_CALL(function, ...) \
  REFUSED(option, function(NULL, &user, __VA_ARGS__)); \
  REFUSED(key, function(cache, NULL, __VA_ARGS__)); \
  REFUSED(key, function(cache, &none, __VA_ARGS__)); \
  REFUSED(key, function(cache, &textless, __VA_ARGS__))

  USER_CALL(vidcache_resolve, &out.identity);
  REFUSED(option, vidcache_resolve(cache, &user, NULL));
  USER_CALL(vidcache_recall, &out.identity, &out.flag);
  REFUSED(option, vidcache_recall(cache, &user, NULL, &out.flag));
  REFUSED(option, vidcache_recall(cache, &user, &out.identity, NULL));
  USER_CALL(vidcache_decide, STR("a@x.test"), &out.decision);
  REFUSED(option, vidcache_decide(cache, &user, STR("a@x.test"), NULL));
  REFUSED(VIDCACHE_INVALID_EMAIL, vidcache_decide(cache, &user, NULL, 3, &out.decision));
  USER_CALL(vidcache_snippet, NULL, 0, NULL, 0, out.buffer, sizeof out.buffer, &out.length);
  REFUSED(option, vidcache_snippet(cache, &user, NULL, 0, NULL, 0, out.buffer, sizeof out.buffer, NULL));
  REFUSED(option, vidcache_snippet(cache, &user, NULL, 0, NULL, 0, NULL, 4096, &out.length));
  REFUSED(option, vidcache_snippet(cache, &user, NULL, 0, NULL, 3, out.buffer, sizeof out.buffer, &out.length));
  REFUSED(option, vidcache_anonymous_snippet(NULL, NULL, 0, out.buffer, sizeof out.buffer, &out.length));
  REFUSED(option, vidcache_anonymous_snippet(cache, NULL, 0, NULL, 4096, &out.length));
  REFUSED(option, vidcache_anonymous_snippet(cache, NULL, 0, out.buffer, sizeof out.buffer, NULL));
  REFUSED(option, vidcache_signed_out_snippet(NULL, NULL, 0, out.buffer, sizeof out.buffer, &out.length));
  REFUSED(option, vidcache_signed_out_snippet(cache, NULL, 0, NULL, 4096, &out.length));
  REFUSED(option, vidcache_signed_out_snippet(cache, NULL, 0, out.buffer, sizeof out.buffer, NULL));
  REFUSED(option, vidcache_page_data(NULL, &user, NULL, 0, out.buffer, sizeof out.buffer, &out.length));
  REFUSED(key, vidcache_page_data(cache, &none, NULL, 0, out.buffer, sizeof out.buffer, &out.length));
  REFUSED(key, vidcache_page_data(cache, &textless, NULL, 0, out.buffer, sizeof out.buffer, &out.length));
  REFUSED(option, vidcache_page_data(cache, &user, NULL, 0, NULL, 4096, &out.length));
  REFUSED(option, vidcache_page_data(cache, &user, NULL, 0, out.buffer, sizeof out.buffer, NULL));
  REFUSED(VIDCACHE_INVALID_EMAIL,
          vidcache_page_data(cache, &user, NULL, 3, out.buffer, sizeof out.buffer, &out.length));
  REFUSED(VIDCACHE_INVALID_EMAIL,
          vidcache_page_data(cache, NULL, NULL, 3, out.buffer, sizeof out.buffer, &out.length));
  REFUSED(option, vidcache_signed_out_page_data(NULL, out.buffer, sizeof out.buffer, &out.length));
  REFUSED(option, vidcache_signed_out_page_data(cache, NULL, 4096, &out.length));
  REFUSED(option, vidcache_signed_out_page_data(cache, out.buffer, sizeof out.buffer, NULL));
  REFUSED(option, vidcache_quiet_period(NULL, &out.period));
  REFUSED(option, vidcache_quiet_period(cache, NULL));
  USER_CALL(vidcache_link, 1);
  USER_CALL(vidcache_record, STR("{}"), 0, &out.recorded);
  REFUSED(option, vidcache_record(cache, &user, STR("{}"), 0, NULL));
  REFUSED(VIDCACHE_INVALID_ANSWER, vidcache_record(cache, &user, NULL, 0, 0, &out.recorded));
  REFUSED(VIDCACHE_INVALID_ANSWER, vidcache_record(cache, &user, NULL, 2, 0, &out.recorded));
  USER_CALL(vidcache_link_shared, 1);
  USER_CALL(vidcache_explain, NULL, 0, &out.decision, &out.text);
  REFUSED(option, vidcache_explain(cache, &user, NULL, 0, NULL, &out.text));
  REFUSED(option, vidcache_explain(cache, &user, NULL, 0, &out.decision, NULL));
  USER_CALL(vidcache_export, &out.text);
  REFUSED(option, vidcache_export(cache, &user, NULL));
  USER_CALL(vidcache_forget, &out.flag);
  REFUSED(option, vidcache_forget(cache, &user, NULL));
  REFUSED(option, vidcache_observe(NULL, STR("{}"), &out.observed));
  REFUSED(option, vidcache_observe(cache, STR("{}"), NULL));
  REFUSED(VIDCACHE_INVALID_ANSWER, vidcache_observe(cache, NULL, 0, &out.observed));
  REFUSED(option, vidcache_observed_contacts(NULL, &out.vids, &out.length));
  REFUSED(option, vidcache_observed_missing(NULL, &out.vids, &out.length));
  vidcache_observed_free(NULL);
  REFUSED(option, vidcache_apply_webhook(NULL, STR("[]"), &out.webhook));
  REFUSED(option, vidcache_apply_webhook(cache, STR("[]"), NULL));
  REFUSED(VIDCACHE_INVALID_WEBHOOK, vidcache_apply_webhook(cache, NULL, 0, &out.webhook));
  REFUSED(option, vidcache_resolve_many(NULL, &user, 1, &out.identity));
  REFUSED(option, vidcache_resolve_many(cache, NULL, 1, &out.identity));
  REFUSED(option, vidcache_resolve_many(cache, &user, 1, NULL));
  REFUSED(key, vidcache_resolve_many(cache, &none, 1, &out.identity));
  vidcache_question question;
  memset(&question, 0, sizeof question);
  REFUSED(key, vidcache_decide_many(cache, &question, 1, &out.decision));
  question.user = user;
  REFUSED(option, vidcache_decide_many(NULL, &question, 1, &out.decision));
  REFUSED(option, vidcache_decide_many(cache, NULL, 1, &out.decision));
  REFUSED(option, vidcache_decide_many(cache, &question, 1, NULL));
  question.email_len = 5;
  REFUSED(VIDCACHE_INVALID_EMAIL, vidcache_decide_many(cache, &question, 1, &out.decision));
  EQUAL(VIDCACHE_OK, vidcache_resolve_many(cache, NULL, 0, NULL));
  EQUAL(VIDCACHE_OK, vidcache_decide_many(cache, NULL, 0, NULL));
  USER_CALL(vidcache_begin_email_change, &out.number);
  REFUSED(option, vidcache_begin_email_change(cache, &user, NULL));
  USER_CALL(vidcache_abandon_email_change, 1);
  USER_CALL(vidcache_is_change_outstanding, 1, &out.flag);
  REFUSED(option, vidcache_is_change_outstanding(cache, &user, 1, NULL));
  USER_CALL(vidcache_lease, 60000, 0, &out.number);
  REFUSED(option, vidcache_lease(cache, &user, 60000, 0, NULL));
  REFUSED(option, vidcache_lease(cache, &user, 0, 0, &out.number));
  REFUSED(option, vidcache_lease(cache, &user, UINT64_MAX, 0, &out.number));
  REFUSED(option, vidcache_conflicts(NULL, NULL, &out.conflict, 1, &out.length));
  REFUSED(option, vidcache_conflicts(cache, NULL, NULL, 1, &out.length));
  REFUSED(option, vidcache_conflicts(cache, NULL, &out.conflict, 1, NULL));
  REFUSED(key, vidcache_conflicts(cache, &none, &out.conflict, 1, &out.length));
  REFUSED(option, vidcache_end_conflict(NULL, &user));
  REFUSED(key, vidcache_end_conflict(cache, NULL));
  REFUSED(key, vidcache_end_conflict(cache, &none));
  USER_CALL(vidcache_refusal, &out.why);
  REFUSED(option, vidcache_refusal(cache, &user, NULL));
  REFUSED(option, vidcache_users_of(NULL, 1, &out.key, 1, &out.length));
  REFUSED(option, vidcache_users_of(cache, 1, NULL, 1, &out.length));
  REFUSED(option, vidcache_users_of(cache, 1, &out.key, 1, NULL));
  REFUSED(VIDCACHE_INVALID_VID, vidcache_users_of(cache, 0, &out.key, 1, &out.length));
  REFUSED(option, vidcache_doubt_all(NULL));
  USER_CALL(vidcache_release, 1, &out.flag);
  REFUSED(option, vidcache_release(cache, &user, 1, NULL));
  USER_CALL(vidcache_change_outstanding_since, 1, &out.number, &out.flag);
  REFUSED(option, vidcache_change_outstanding_since(cache, &user, 1, NULL, &out.flag));
  REFUSED(option, vidcache_change_outstanding_since(cache, &user, 1, &out.number, NULL));
  REFUSED(option, vidcache_stale_changes(NULL, 0, &out.change, 1, &out.length));
  REFUSED(option, vidcache_stale_changes(cache, 0, NULL, 1, &out.length));
  REFUSED(option, vidcache_stale_changes(cache, 0, &out.change, 1, NULL));
  vidcache_import_row row;
  memset(&row, 0, sizeof row);
  row.vid = 1;
  REFUSED(option, vidcache_import(NULL, &row, 1, &out.report));
  REFUSED(option, vidcache_import(cache, NULL, 1, &out.report));
  REFUSED(key, vidcache_import(cache, &row, 1, &out.report));
  REFUSED(option, vidcache_import(cache, &row, 1, NULL));
  vidcache_stats stats;
  memset(&stats, 0, sizeof stats);
  REFUSED(option, vidcache_get_stats(cache, &stats));
  stats.size = sizeof stats;
  REFUSED(option, vidcache_get_stats(NULL, &stats));
  REFUSED(option, vidcache_get_stats(cache, NULL));
  REFUSED(option, vidcache_verify(NULL, &out.text, &out.length));
  REFUSED(option, vidcache_verify(cache, NULL, &out.length));
  REFUSED(option, vidcache_verify(cache, &out.text, NULL));
  REFUSED(option, vidcache_text_get(NULL, &out.bytes, &out.length));
  vidcache_text *text = NULL;
  size_t count;
  EQUAL(VIDCACHE_OK, vidcache_verify(cache, &text, &count));
  REFUSED(option, vidcache_text_get(text, NULL, &out.length));
  REFUSED(option, vidcache_text_get(text, &out.bytes, NULL));
  vidcache_text_free(&text);
  vidcache_text_free(&text);
  vidcache_text_free(NULL);
  vidcache_free(&cache);
  CHECK(cache == NULL);
  vidcache_free(&cache);
  vidcache_free(NULL);
  REFUSED(option, vidcache_resolve(cache, &user, &out.identity));
}

static void no_length_is_believed_and_no_byte_trusted(void)
{
  const char *path = path_in(folder, "lengths");
  vidcache_handle *cache = open_cache(path);
  vidcache_user user = user_42();
  static const size_t huge[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 2 + 1, (size_t)1 << (sizeof(size_t) > 4 ? 41 : 31)};
  for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
    const size_t n = huge[i];
    vidcache_user text = vidcache_user_text("x", n);
    REFUSED(VIDCACHE_INVALID_USER_KEY, vidcache_resolve(cache, &text, &out.identity));
    REFUSED(VIDCACHE_INVALID_EMAIL, vidcache_decide(cache, &user, "x", n, &out.decision));
    REFUSED(VIDCACHE_INVALID_ANSWER, vidcache_record(cache, &user, "{", n, 0, &out.recorded));
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_open("x", n, PORTAL, NULL, &out.handle));
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_snippet(cache, &user, NULL, 0, "x", n, out.buffer, 9, &out.length));
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_snippet(cache, &user, NULL, 0, NULL, 0, out.buffer, n, &out.length));
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_anonymous_snippet(cache, "x", n, out.buffer, 9, &out.length));
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_anonymous_snippet(cache, NULL, 0, out.buffer, n, &out.length));
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_signed_out_snippet(cache, "x", n, out.buffer, 9, &out.length));
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_signed_out_snippet(cache, NULL, 0, out.buffer, n, &out.length));
    REFUSED(VIDCACHE_INVALID_EMAIL, vidcache_page_data(cache, &user, "x", n, out.buffer, 9, &out.length));
    REFUSED(VIDCACHE_INVALID_USER_KEY, vidcache_page_data(cache, &text, NULL, 0, out.buffer, 9, &out.length));
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_page_data(cache, &user, NULL, 0, out.buffer, n, &out.length));
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_signed_out_page_data(cache, out.buffer, n, &out.length));
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_stale_changes(cache, 0, &out.change, n, &out.length));
    vidcache_import_row row;
    memset(&row, 0, sizeof row);
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_import(cache, &row, n, &out.report));
    REFUSED(VIDCACHE_INVALID_ANSWER, vidcache_observe(cache, "{", n, &out.observed));
    REFUSED(VIDCACHE_INVALID_WEBHOOK, vidcache_apply_webhook(cache, "[", n, &out.webhook));
    REFUSED(VIDCACHE_INVALID_EMAIL, vidcache_explain(cache, &user, "x", n, &out.decision, &out.text));
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_resolve_many(cache, &user, n, &out.identity));
    const vidcache_question question = {user, NULL, 0};
    REFUSED(VIDCACHE_INVALID_OPTION, vidcache_decide_many(cache, &question, n, &out.decision));
  }
  static const char *const bad[] = {"", "\xff", "a\0b"};
  static const size_t bad_length[] = {0, 1, 3};
  for (int i = 0; i < 3; i++) {
    vidcache_user text = vidcache_user_text(bad[i], bad_length[i]);
    REFUSED(VIDCACHE_INVALID_USER_KEY, vidcache_resolve(cache, &text, &out.identity));
    REFUSED(VIDCACHE_INVALID_EMAIL, vidcache_decide(cache, &user, bad[i], bad_length[i], &out.decision));
    // A 204 has no body, and says nothing.
    const vidcache_result refused = i == 0 ? VIDCACHE_ANSWER_WITHOUT_ID : VIDCACHE_INVALID_ANSWER;
    REFUSED(refused, vidcache_record(cache, &user, bad[i], bad_length[i], 0, &out.recorded));
  }
  REFUSED(VIDCACHE_INVALID_OPTION, vidcache_open(STR(""), PORTAL, NULL, &out.handle));
  REFUSED(VIDCACHE_INVALID_OPTION, vidcache_open(STR("a\0b"), PORTAL, NULL, &out.handle));
  REFUSED(VIDCACHE_INVALID_OPTION, vidcache_snippet(cache, &user, NULL, 0, STR("\xff"), out.buffer, 9, &out.length));
  REFUSED(VIDCACHE_INVALID_OPTION, vidcache_anonymous_snippet(cache, STR("\xff"), out.buffer, 9, &out.length));
  REFUSED(VIDCACHE_INVALID_VID, vidcache_link(cache, &user, 0));
  REFUSED(VIDCACHE_INVALID_VID, vidcache_link(cache, &user, INT64_MIN));
  REFUSED(VIDCACHE_UNKNOWN_CHANGE, vidcache_abandon_email_change(cache, &user, -1));
  REFUSED(VIDCACHE_UNKNOWN_CHANGE, vidcache_abandon_email_change(cache, &user, 0));
  REFUSED(VIDCACHE_UNKNOWN_CHANGE, vidcache_is_change_outstanding(cache, &user, 5, &out.flag));
  REFUSED(VIDCACHE_UNKNOWN_CHANGE, vidcache_change_outstanding_since(cache, &user, 5, &out.number, &out.flag));
  REFUSED(VIDCACHE_UNKNOWN_CHANGE,
          vidcache_record(cache, &user, STR(ANSWER("1", "a@x.test", "00")), -7, &out.recorded));
  vidcache_free(&cache);

  vidcache_options options;
  options.size = sizeof options - 1;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_options_init(&options));
  REFUSED(VIDCACHE_INVALID_OPTION, vidcache_open(path, strlen(path), PORTAL, &options, &out.handle));
  options.size = sizeof options;
  EQUAL(VIDCACHE_OK, vidcache_options_init(&options));
  REFUSED(VIDCACHE_INVALID_PORTAL, vidcache_open(path, strlen(path), 0, &options, &out.handle));
#define WITH(field, value, code) \
  do { \
    vidcache_options changed = options; \
    changed.field = value; \
    REFUSED(code, vidcache_open(path, strlen(path), PORTAL, &changed, &out.handle)); \
  } while (0)
  WITH(secret, "short", VIDCACHE_INVALID_SECRET);
  WITH(old_secrets_len, 1, VIDCACHE_INVALID_OPTION);
  WITH(old_secrets_len, 17, VIDCACHE_INVALID_OPTION);
  WITH(secret_len, 5, VIDCACHE_INVALID_OPTION);
  WITH(secret_len, SIZE_MAX, VIDCACHE_INVALID_OPTION);
  WITH(loader_host, "a/b", VIDCACHE_INVALID_OPTION);
  WITH(loader_host_len, SIZE_MAX, VIDCACHE_INVALID_OPTION);
  WITH(synchronous, 0, VIDCACHE_INVALID_OPTION);
  WITH(busy_timeout_ms, UINT32_MAX, VIDCACHE_INVALID_OPTION);
  WITH(page_deadline_ms, 99, VIDCACHE_INVALID_OPTION);
  WITH(size, 0, VIDCACHE_INVALID_OPTION);
}

static void a_closed_handle_answers_with_a_code(void)
{
  vidcache_handle *cache = open_cache(path_in(folder, "closed"));
  vidcache_user user = user_42();
  vidcache_recorded recorded;
  EQUAL(VIDCACHE_OK, vidcache_record(cache, &user, STR(ANSWER("901", "ann@shop.test", "00")), 0, &recorded));
  EQUAL(VIDCACHE_OK, vidcache_close(cache));
  EQUAL(VIDCACHE_OK, vidcache_close(cache));
  const int closed = VIDCACHE_CLOSED;
  vidcache_import_row row;
  memset(&row, 0, sizeof row);
  row.user = user;
  row.vid = 5;
  REFUSED(closed, vidcache_resolve(cache, &user, &out.identity));
  REFUSED(closed, vidcache_decide(cache, &user, NULL, 0, &out.decision));
  REFUSED(closed, vidcache_snippet(cache, &user, NULL, 0, NULL, 0, out.buffer, sizeof out.buffer, &out.length));
  REFUSED(closed, vidcache_page_data(cache, &user, NULL, 0, out.buffer, sizeof out.buffer, &out.length));
  REFUSED(closed, vidcache_quiet_period(cache, &out.period));
  REFUSED(closed, vidcache_change_outstanding_since(cache, &user, 1, &out.number, &out.flag));
  REFUSED(closed, vidcache_lease(cache, &user, 1, 0, &out.number));
  REFUSED(closed, vidcache_release(cache, &user, 1, &out.flag));
  REFUSED(closed, vidcache_link(cache, &user, 1));
  REFUSED(closed, vidcache_record(cache, &user, STR(ANSWER("901", "ann@shop.test", "00")), 0, &out.recorded));
  REFUSED(closed, vidcache_import(cache, &row, 1, &out.report));
  REFUSED(closed, vidcache_begin_email_change(cache, &user, &out.number));
  REFUSED(closed, vidcache_abandon_email_change(cache, &user, 1));
  REFUSED(closed, vidcache_is_change_outstanding(cache, &user, 1, &out.flag));
  REFUSED(closed, vidcache_stale_changes(cache, 0, &out.change, 1, &out.length));
  REFUSED(closed, vidcache_conflicts(cache, NULL, &out.conflict, 1, &out.length));
  REFUSED(closed, vidcache_end_conflict(cache, &user));
  REFUSED(closed, vidcache_refusal(cache, &user, &out.why));
  REFUSED(closed, vidcache_users_of(cache, 1, &out.key, 1, &out.length));
  REFUSED(closed, vidcache_doubt_all(cache));
  REFUSED(closed, vidcache_verify(cache, &out.text, &out.length));
  REFUSED(closed, vidcache_link_shared(cache, &user, 1));
  REFUSED(closed, vidcache_observe(cache, STR(ANSWER("901", "ann@shop.test", "00")), &out.observed));
  REFUSED(closed, vidcache_explain(cache, &user, NULL, 0, &out.decision, &out.text));
  REFUSED(closed, vidcache_export(cache, &user, &out.text));
  REFUSED(closed, vidcache_forget(cache, &user, &out.flag));
  REFUSED(closed, vidcache_resolve_many(cache, &user, 1, &out.identity));
  bool known = true;
  vidcache_identity identity;
  EQUAL(VIDCACHE_OK, vidcache_recall(cache, &user, &identity, &known));
  CHECK(!known);
  int64_t portal = 0;
  EQUAL(VIDCACHE_OK, vidcache_portal(cache, &portal));
  vidcache_free(&cache);
}

static void parent_and_child_use_and_free_the_same_handle(void)
{
  vidcache_handle *cache = open_cache(path_in(folder, "fork"));
  vidcache_user user = user_42(), child_s = vidcache_user_text(STR("of the child"));
  vidcache_recorded recorded;
  EQUAL(VIDCACHE_OK, vidcache_record(cache, &user, STR(ANSWER("901", "ann@shop.test", "00")), 0, &recorded));
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    vidcache_identity identity;
    EQUAL(VIDCACHE_OK, vidcache_resolve(cache, &user, &identity));
    EQUAL(901, identity.vid);
    EQUAL(VIDCACHE_OK, vidcache_link(cache, &child_s, 77));
    EQUAL(VIDCACHE_INVALID_VID, vidcache_link(cache, &child_s, -1));
    vidcache_free(&cache);
    vidcache_free(&cache);
    _exit(0);
  }
  int status = 1;
  CHECK(waitpid(child, &status, 0) == child);
  EQUAL(0, status);
  vidcache_identity identity;
  EQUAL(VIDCACHE_OK, vidcache_resolve(cache, &child_s, &identity));
  EQUAL(77, identity.vid);
  EQUAL(VIDCACHE_OK, vidcache_link(cache, &child_s, 78));

  /* Closed before the fork, it stays closed in the child. */
  EQUAL(VIDCACHE_OK, vidcache_close(cache));
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    EQUAL(VIDCACHE_CLOSED, vidcache_resolve(cache, &user, &identity));
    vidcache_free(&cache);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  EQUAL(0, status);
  vidcache_free(&cache);
}

enum { THREADS = 8, CALLS = 200 };
static vidcache_handle *shared;

static void *work(void *argument)
{
  const int64_t number = (int64_t)(intptr_t)argument;
  vidcache_user user = vidcache_user_id(number);
  vidcache_identity identity;
  vidcache_recorded recorded;
  char answer[200], buffer[4096];
  size_t length;
  snprintf(answer, sizeof answer, ANSWER("%d", "user%d@shop.test", "00"), (int)number + 1000, (int)number);
  EQUAL(VIDCACHE_OK, vidcache_record(shared, &user, answer, strlen(answer), 0, &recorded));
  for (int call = 0; call < CALLS; call++) {
    EQUAL(VIDCACHE_OK, vidcache_resolve(shared, &user, &identity));
    EQUAL(number + 1000, identity.vid);
    EQUAL(VIDCACHE_OK, vidcache_snippet(shared, &user, NULL, 0, NULL, 0, buffer, sizeof buffer, &length));
  }
  /* Each thread has its own failure, however they fall together. */
  const vidcache_result failed =
    number % 2 ? vidcache_link(shared, &user, 0) : vidcache_abandon_email_change(shared, &user, 12345);
  vidcache_error error;
  error.size = sizeof error;
  EQUAL(VIDCACHE_OK, vidcache_last_error(&error));
  EQUAL(failed, error.code);
  EQUAL(number % 2 ? VIDCACHE_INVALID_VID : VIDCACHE_UNKNOWN_CHANGE, error.code);
  return NULL;
}

static void threads_share_a_handle(void)
{
  shared = open_cache(path_in(folder, "threads"));
  pthread_t threads[THREADS];
  for (intptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  vidcache_free(&shared);
}

static void a_refusal_of_hubspot_s_names_what_it_can(void)
{
  vidcache_handle *cache = open_cache(path_in(folder, "refusals"));
  vidcache_user user = user_42();
  vidcache_error error;
  error.size = sizeof error;
  vidcache_recorded recorded;
  EQUAL(VIDCACHE_CONTACT_CONFLICT,
        vidcache_record(cache, &user, STR("{\"status\":\"error\",\"message\":\"Contact already exists. Existing ID: 51\","
                                          "\"category\":\"CONFLICT\"}"), 0, &recorded));
  EQUAL(VIDCACHE_OK, vidcache_last_error(&error));
  EQUAL(51, error.vid);
  EQUAL(0, error.retry_after_ms);
  EQUAL(VIDCACHE_RATE_LIMITED,
        vidcache_record(cache, &user, STR("{\"status\":\"error\",\"errorType\":\"RATE_LIMIT\","
                                          "\"policyName\":\"TEN_SECONDLY_ROLLING\"}"), 0, &recorded));
  EQUAL(VIDCACHE_OK, vidcache_last_error(&error));
  EQUAL(0, error.vid);
  EQUAL(10000, error.retry_after_ms);
  vidcache_free(&cache);
}

static void many_users_are_looked_up_in_their_order(void)
{
  vidcache_handle *cache = open_cache(path_in(folder, "many"));
  vidcache_user users[3] = {user_42(), vidcache_user_text(STR("nobody")), vidcache_user_text(STR("bea"))};
  vidcache_recorded recorded;
  EQUAL(VIDCACHE_OK, vidcache_record(cache, &users[0], STR(ANSWER("901", "ann@shop.test", "00")), 0, &recorded));
  EQUAL(-1, recorded.created);
  CHECK(recorded.canonical);
  EQUAL(VIDCACHE_OK, vidcache_record(cache, &users[2], STR("{\"vid\":902,\"isNew\":true}"), 0, &recorded));
  EQUAL(1, recorded.created);
  vidcache_identity identities[3];
  EQUAL(VIDCACHE_OK, vidcache_resolve_many(cache, users, 3, identities));
  CHECK(identities[0].vid == 901 && identities[1].vid == 0 && identities[2].vid == 902);
  vidcache_question questions[2] = {{users[0], "ann@shop.test", 13}, {users[2], NULL, 0}};
  vidcache_decision decisions[2];
  EQUAL(VIDCACHE_OK, vidcache_decide_many(cache, questions, 2, decisions));
  CHECK(strcmp(decisions[0].email, "ann@shop.test") == 0 && decisions[1].email_len == 0 && decisions[1].id == 902);
  questions[1].email = "x";
  questions[1].email_len = 1;
  memset(decisions, 0x5a, sizeof decisions);
  EQUAL(VIDCACHE_INVALID_EMAIL, vidcache_decide_many(cache, questions, 2, decisions));
  EQUAL(0x5a5a5a5a, decisions[0].reason);
  vidcache_free(&cache);
}

static void what_hubspot_says_of_contacts_is_taken_in(void)
{
  vidcache_handle *cache = open_cache(path_in(folder, "observe"));
  vidcache_user user = user_42();
  EQUAL(VIDCACHE_OK, vidcache_link(cache, &user, 901));
  vidcache_observed *observed = NULL;
  EQUAL(VIDCACHE_OK,
        vidcache_observe(cache, STR("{\"results\":[" ANSWER("901", "ann@shop.test", "00") "," ANSWER("902", "b@x.test", "00")
                                    "],\"errors\":[{\"status\":\"error\",\"category\":\"OBJECT_NOT_FOUND\","
                                    "\"message\":\"x\",\"context\":{\"ids\":[\"77\"]}}]}"), &observed));
  const int64_t *vids;
  size_t count = 0;
  EQUAL(VIDCACHE_OK, vidcache_observed_contacts(observed, &vids, &count));
  CHECK(count == 2 && vids[0] == 901 && vids[1] == 902);
  EQUAL(VIDCACHE_OK, vidcache_observed_missing(observed, &vids, &count));
  CHECK(count == 1 && vids[0] == 77);
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_observed_missing(observed, NULL, &count));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_observed_missing(observed, &vids, NULL));
  vidcache_observed_free(&observed);
  CHECK(observed == NULL);
  vidcache_observed_free(&observed);

  vidcache_decision decision;
  vidcache_text *text = NULL;
  const char *bytes;
  EQUAL(VIDCACHE_OK, vidcache_explain(cache, &user, STR("ann@shop.test"), &decision, &text));
  EQUAL(VIDCACHE_REASON_AGREED, decision.reason);
  EQUAL(VIDCACHE_OK, vidcache_text_get(text, &bytes, &count));
  CHECK(memmem(bytes, count, STR("The page names the email and the id 901")) == bytes);
  CHECK(memmem(bytes, count, STR("ann@")) == NULL);
  vidcache_text_free(&text);

  vidcache_webhook_report report;
  EQUAL(VIDCACHE_OK,
        vidcache_apply_webhook(cache, STR("[{\"portalId\":62515,\"occurredAt\":1772359500000,\"subscriptionType\":"
                                          "\"contact.deletion\",\"objectId\":901},{\"portalId\":1,\"occurredAt\":1,"
                                          "\"subscriptionType\":\"contact.deletion\",\"objectId\":5}]"), &report));
  EQUAL(1, report.applied);
  EQUAL(1, report.ignored);
  EQUAL(VIDCACHE_OK, vidcache_decide(cache, &user, STR("ann@shop.test"), &decision));
  EQUAL(0, decision.email_len);

  EQUAL(VIDCACHE_OK, vidcache_export(cache, &user, &text));
  EQUAL(VIDCACHE_OK, vidcache_text_get(text, &bytes, &count));
  CHECK(count > 2 && bytes[0] == '{' && bytes[count - 1] == '}' && memmem(bytes, count, STR("ann@")) == NULL);
  vidcache_text_free(&text);
  bool known = false;
  EQUAL(VIDCACHE_OK, vidcache_forget(cache, &user, &known));
  CHECK(known);
  EQUAL(VIDCACHE_OK, vidcache_forget(cache, &user, &known));
  CHECK(!known);
  vidcache_free(&cache);
}

/* A struct of a header that is newer than the library, with what lies behind it. */
#define NEWER(type) \
  struct { \
    type it; \
    uint64_t grown[2]; \
    unsigned char behind[64]; \
  }
#define NEWER_SIZE(newer) (sizeof(newer).it + sizeof(newer).grown)

static void check_newer(const uint64_t *grown, uint64_t value, const unsigned char *behind, int line)
{
  bool sound = grown[0] == value && grown[1] == value;
  for (int i = 0; i < 64; i++) sound = sound && behind[i] == 0xa5;
  if (sound) return;
  fprintf(stderr, "%s:%d: not what an older library may write\n", __FILE__, line);
  abort();
}
#define ZEROED(newer) check_newer((newer).grown, 0, (newer).behind, __LINE__)
#define LEFT(newer) check_newer((newer).grown, UINT64_C(0xa5a5a5a5a5a5a5a5), (newer).behind, __LINE__)

static void a_program_of_a_newer_header_is_served_unless_it_sets_what_is_new(void)
{
  const char *path = path_in(folder, "newer");
  NEWER(vidcache_options) options;
  memset(&options, 0xa5, sizeof options);
  options.it.size = NEWER_SIZE(options) - 1 + 4096;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_options_init(&options.it));
  LEFT(options);
  options.it.size = NEWER_SIZE(options);
  EQUAL(VIDCACHE_OK, vidcache_options_init(&options.it));
  ZEROED(options);
  EQUAL(NEWER_SIZE(options), options.it.size);
  EQUAL(5000, options.it.busy_timeout_ms);
  vidcache_handle *cache = NULL;
  options.grown[1] = 1;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_open(path, strlen(path), PORTAL, &options.it, &cache));
  CHECK(cache == NULL);
  NEWER(vidcache_error) error;
  memset(&error, 0xa5, sizeof error);
  error.it.size = NEWER_SIZE(error);
  EQUAL(VIDCACHE_OK, vidcache_last_error(&error.it));
  ZEROED(error);
  CHECK(strstr(error.it.message, "install the library of that header") != NULL);
  options.grown[1] = 0;
  EQUAL(VIDCACHE_OK, vidcache_open(path, strlen(path), PORTAL, &options.it, &cache));

  NEWER(vidcache_stats) stats;
  memset(&stats, 0xa5, sizeof stats);
  // No header gave it this size.
  stats.it.size = sizeof stats.it - 4;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_get_stats(cache, &stats.it));
  LEFT(stats);
  // That of a header without the last field, which stays as it was.
  stats.it.log_bytes = 7;
  stats.it.size = offsetof(vidcache_stats, log_bytes);
  EQUAL(VIDCACHE_OK, vidcache_get_stats(cache, &stats.it));
  EQUAL(7, stats.it.log_bytes);
  stats.it.size = NEWER_SIZE(stats);
  EQUAL(VIDCACHE_OK, vidcache_get_stats(cache, &stats.it));
  ZEROED(stats);
  EQUAL(0, stats.it.hits);
  vidcache_free(&cache);

  NEWER(vidcache_signed_request) request;
  memset(&request, 0, sizeof request);
  request.it.size = NEWER_SIZE(request);
  EQUAL(VIDCACHE_INVALID_SIGNATURE, vidcache_verify_signature(STR("x"), &request.it, 0));
  request.grown[0] = 1;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_verify_signature(STR("x"), &request.it, 0));
}

static void a_file_is_moved_aside(void)
{
  const char *path = path_in(folder, "aside");
  vidcache_handle *cache = open_cache(path);
  REFUSED(VIDCACHE_BUSY, vidcache_move_aside(path, strlen(path), &out.text));
  vidcache_free(&cache);
  vidcache_text *moved_to = NULL;
  EQUAL(VIDCACHE_OK, vidcache_move_aside(path, strlen(path), &moved_to));
  const char *bytes;
  size_t length;
  EQUAL(VIDCACHE_OK, vidcache_text_get(moved_to, &bytes, &length));
  CHECK(memmem(bytes, length, STR("aside.aside-")) != NULL);
  vidcache_text_free(&moved_to);
  REFUSED(VIDCACHE_CANNOT_OPEN, vidcache_move_aside(path, strlen(path), &out.text));
  REFUSED(VIDCACHE_INVALID_OPTION, vidcache_move_aside(NULL, 0, &out.text));
  REFUSED(VIDCACHE_INVALID_OPTION, vidcache_move_aside(path, SIZE_MAX, &out.text));
  REFUSED(VIDCACHE_INVALID_OPTION, vidcache_move_aside(path, strlen(path), NULL));
}

static void a_backup_is_put_back_while_nobody_has_the_file_open(void)
{
  char backup[4096];
  snprintf(backup, sizeof backup, "%s", path_in(folder, "whole-copy"));
  const char *path = path_in(folder, "restored");
  vidcache_handle *cache = open_cache(path);
  vidcache_user user = vidcache_user_id(42);
  EQUAL(VIDCACHE_OK, vidcache_link(cache, &user, 901));
  EQUAL(VIDCACHE_OK, vidcache_backup(cache, backup, strlen(backup)));
  EQUAL(VIDCACHE_CANNOT_OPEN, vidcache_backup(cache, backup, strlen(backup)));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_backup(cache, NULL, 0));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_backup(cache, backup, SIZE_MAX));
  REFUSED(VIDCACHE_BUSY, vidcache_restore(backup, strlen(backup), path, strlen(path), &out.text));
  vidcache_free(&cache);
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_backup(NULL, backup, strlen(backup)));
  vidcache_text *moved_to = NULL;
  EQUAL(VIDCACHE_OK, vidcache_restore(backup, strlen(backup), path, strlen(path), &moved_to));
  const char *bytes;
  size_t length;
  EQUAL(VIDCACHE_OK, vidcache_text_get(moved_to, &bytes, &length));
  CHECK(memmem(bytes, length, STR("restored.aside-")) != NULL);
  vidcache_text_free(&moved_to);
  cache = open_cache(path);
  vidcache_identity identity;
  memset(&identity, 0, sizeof identity);
  CHECK(vidcache_resolve(cache, &user, &identity) == VIDCACHE_OK && identity.vid == 901);
  vidcache_free(&cache);
  REFUSED(VIDCACHE_INVALID_OPTION, vidcache_restore(NULL, 0, path, strlen(path), &out.text));
  REFUSED(VIDCACHE_INVALID_OPTION, vidcache_restore(backup, strlen(backup), NULL, 0, &out.text));
  REFUSED(VIDCACHE_INVALID_OPTION, vidcache_restore(backup, strlen(backup), path, strlen(path), NULL));
}

static void a_secret_is_rotated(void)
{
  const char *path = path_in(folder, "rotated");
  vidcache_handle *cache = open_cache(path);
  vidcache_free(&cache);
  vidcache_options options;
  options.size = sizeof options;
  EQUAL(VIDCACHE_OK, vidcache_options_init(&options));
  options.secret = "the second secret of the app";
  options.secret_len = strlen(options.secret);
  EQUAL(VIDCACHE_WRONG_SECRET, vidcache_open(path, strlen(path), PORTAL, &options, &cache));
  const vidcache_secret old[] = {{STR("one that never was one")}, {STR(SECRET)}};
  options.old_secrets = old;
  options.old_secrets_len = 2;
  EQUAL(VIDCACHE_OK, vidcache_open(path, strlen(path), PORTAL, &options, &cache));
  vidcache_free(&cache);
  options.old_secrets_len = 0;
  EQUAL(VIDCACHE_OK, vidcache_open(path, strlen(path), PORTAL, &options, &cache));
  vidcache_free(&cache);
  const vidcache_secret wrong[] = {{STR("short")}, {NULL, 1}, {"x", SIZE_MAX}};
  options.old_secrets_len = 1;
  for (int i = 0; i < 3; i++) {
    options.old_secrets = &wrong[i];
    EQUAL(i == 0 ? VIDCACHE_INVALID_SECRET : VIDCACHE_INVALID_OPTION,
          vidcache_open(path, strlen(path), PORTAL, &options, &cache));
  }
}

static void a_request_is_signed_or_not(void)
{
  const int64_t now = INT64_C(1700000300000);
  vidcache_signed_request request;
  memset(&request, 0, sizeof request);
#define SET(field, text) (request.field = (text), request.field##_len = strlen(text))
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_verify_signature(STR("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"), &request, now));
  request.size = sizeof request;
  EQUAL(VIDCACHE_INVALID_SIGNATURE, vidcache_verify_signature(STR("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"), &request, now));
  SET(method, "POST");
  SET(uri, "https://www.example.com/webhook_uri");
  SET(body, "{'example_field':'example_value'}");
  SET(signature_v3, "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw=");
  SET(timestamp, "1700000300000");
  EQUAL(VIDCACHE_OK, vidcache_verify_signature(STR("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"), &request, now));
  EQUAL(VIDCACHE_INVALID_SIGNATURE, vidcache_verify_signature(STR("another"), &request, now));
  EQUAL(VIDCACHE_INVALID_SIGNATURE,
        vidcache_verify_signature(STR("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"), &request, now + 300001));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_verify_signature(STR(""), &request, now));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_verify_signature(NULL, 0, &request, now));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_verify_signature("x", SIZE_MAX, &request, now));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_verify_signature(STR("x"), NULL, now));
  static const size_t lengths[] = {SIZE_MAX, SIZE_MAX / 2, (size_t)1 << (sizeof(size_t) > 4 ? 41 : 31)};
  for (int i = 0; i < 3; i++) {
#define HUGE_LENGTH(field) \
  do { \
    vidcache_signed_request changed = request; \
    changed.field##_len = lengths[i]; \
    EQUAL(VIDCACHE_INVALID_OPTION, vidcache_verify_signature(STR("x"), &changed, now)); \
  } while (0)
    HUGE_LENGTH(method);
    HUGE_LENGTH(uri);
    HUGE_LENGTH(body);
    HUGE_LENGTH(signature_v3);
    HUGE_LENGTH(timestamp);
    HUGE_LENGTH(signature);
    HUGE_LENGTH(version);
  }
  /* v1: SHA-256 of the secret and the body, whose newest event is of 2019. Only where it is listed, and for a day. */
  vidcache_signed_request older;
  memset(&older, 0, sizeof older);
  older.size = sizeof older;
  older.body = "[{\"eventId\":1,\"subscriptionId\":12345,\"portalId\":62515,\"occurredAt\":1564113600000,"
               "\"subscriptionType\":\"contact.creation\",\"attemptNumber\":0,\"objectId\":123,\"changeSource\":\"CRM\","
               "\"changeFlag\":\"NEW\",\"appId\":54321}]";
  older.body_len = strlen(older.body);
  older.signature = "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de";
  older.signature_len = 64;
  static const int64_t then = INT64_C(1564113600000), day = INT64_C(86400000);
  EQUAL(VIDCACHE_INVALID_SIGNATURE, vidcache_verify_signature(STR("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"), &older, then));
  older.take_v2 = 1;
  EQUAL(VIDCACHE_INVALID_SIGNATURE, vidcache_verify_signature(STR("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"), &older, then));
  older.take_v1 = 1;
  EQUAL(VIDCACHE_OK, vidcache_verify_signature(STR("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"), &older, then + day));
  EQUAL(VIDCACHE_INVALID_SIGNATURE, vidcache_verify_signature(STR("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"), &older, then + 2 * day));
  SET(timestamp, "\xff");
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_verify_signature(STR("x"), &request, now));
}

static void the_last_error_says_what_and_nothing_of_whom(void)
{
  vidcache_handle *cache = open_cache(path_in(folder, "detail"));
  vidcache_user user = user_42();
  vidcache_error error;
  error.size = sizeof error;
  vidcache_decision decision;
  EQUAL(VIDCACHE_INVALID_EMAIL, vidcache_decide(cache, &user, STR("ann.of.shop"), &decision));
  EQUAL(VIDCACHE_OK, vidcache_decide(cache, &user, NULL, 0, &decision));
  EQUAL(VIDCACHE_OK, vidcache_last_error(&error));
  EQUAL(VIDCACHE_INVALID_EMAIL, error.code);
  CHECK(strcmp(error.message, "invalid email: it has no @") == 0);
  EQUAL(0, error.vid);
  error.size = 3;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_last_error(&error));
  CHECK(strcmp(vidcache_error_name(VIDCACHE_VID_TAKEN), "vid_taken") == 0);
  CHECK(strcmp(vidcache_error_name(12345), "unknown") == 0);
  CHECK(strcmp(vidcache_reason_name(VIDCACHE_REASON_NOT_LINKED), "not_linked") == 0);
  vidcache_free(&cache);
}

int main(int count, char **arguments)
{
  CHECK(count == 2);
  folder = arguments[1];
  memset(&untouched, 0x5a, sizeof untouched);
  vidcache_error error;
  error.size = sizeof error;
  EQUAL(VIDCACHE_OK, vidcache_last_error(&error));
  CHECK(error.code == VIDCACHE_OK && error.message[0] == '\0');

  versions_are_the_header_s();
  a_user_changes_their_email();
  users_are_imported();
  a_snippet_goes_into_a_buffer_or_says_how_large_it_is();
  a_page_s_data_goes_into_a_buffer_or_says_how_large_it_is();
  the_quiet_period_is_that_of_the_longest_page_deadline();
  null_is_a_code_in_every_place();
  no_length_is_believed_and_no_byte_trusted();
  a_closed_handle_answers_with_a_code();
  parent_and_child_use_and_free_the_same_handle();
  threads_share_a_handle();
  the_last_error_says_what_and_nothing_of_whom();
  a_refusal_of_hubspot_s_names_what_it_can();
  many_users_are_looked_up_in_their_order();
  what_hubspot_says_of_contacts_is_taken_in();
  a_program_of_a_newer_header_is_served_unless_it_sets_what_is_new();
  a_file_is_moved_aside();
  a_backup_is_put_back_while_nobody_has_the_file_open();
  a_secret_is_rotated();
  a_request_is_signed_or_not();
  puts("api: sound");
  return 0;
}
