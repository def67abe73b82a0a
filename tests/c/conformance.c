/* The cases of tests/conformance, which every language replays: here through the C functions. */
#include "check.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <math.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHANGES = 8 };

/* One case, as far as it has come. */
static struct run {
  char folder[4000];
  vidcache_handle *cache;
  struct { const char *name; int64_t token; } changes[CHANGES];
  int changed;
} run;

static char place[500];

#define MUST(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s: not so: %s\n", place, #condition); \
      abort(); \
    } \
  } while (0)

static const cJSON *field(const cJSON *object, const char *name) { return cJSON_GetObjectItemCaseSensitive(object, name); }

static char *read_file(const char *path, size_t *length)
{
  FILE *file = fopen(path, "rb");
  MUST(file != NULL);
  MUST(fseek(file, 0, SEEK_END) == 0);
  long size = ftell(file);
  MUST(size >= 0 && fseek(file, 0, SEEK_SET) == 0);
  char *content = malloc((size_t)size + 1);
  MUST(content != NULL);
  MUST(fread(content, 1, (size_t)size, file) == (size_t)size);
  content[size] = '\0';
  fclose(file);
  if (length) *length = (size_t)size;
  return content;
}

static cJSON *read_json(const char *path)
{
  char *content = read_file(path, NULL);
  cJSON *json = cJSON_Parse(content);
  free(content);
  snprintf(place, sizeof place, "%s", path);
  MUST(json != NULL);
  return json;
}

/* A text of the cases; `bytes` is NULL where it is left out or null. The caller frees it. */
struct text { char *bytes; size_t length; };

static struct text text_of(const cJSON *value)
{
  struct text text = {NULL, 0};
  if (!value || cJSON_IsNull(value) || cJSON_IsNumber(value)) return text;
  if (cJSON_IsString(value)) {
    text.length = strlen(value->valuestring);
    text.bytes = malloc(text.length + 1);
    MUST(text.bytes != NULL);
    memcpy(text.bytes, value->valuestring, text.length);
    return text;
  }
  const cJSON *hex = field(value, "hex");
  if (hex) {
    text.length = strlen(hex->valuestring) / 2;
    text.bytes = malloc(text.length + 1);
    MUST(text.bytes != NULL);
    for (size_t i = 0; i < text.length; i++) {
      unsigned byte;
      MUST(sscanf(hex->valuestring + 2 * i, "%2x", &byte) == 1);
      text.bytes[i] = (char)byte;
    }
    return text;
  }
  const char *part = field(value, "text")->valuestring;
  const size_t times = (size_t)field(value, "times")->valuedouble, size = strlen(part);
  text.length = size * times;
  text.bytes = malloc(text.length + 1);
  MUST(text.bytes != NULL);
  for (size_t i = 0; i < times; i++) memcpy(text.bytes + i * size, part, size);
  return text;
}

static vidcache_user user_of(const cJSON *value, const struct text *text)
{
  return cJSON_IsNumber(value) ? vidcache_user_id((int64_t)value->valuedouble)
                               : vidcache_user_text(text->bytes, text->length);
}

static int64_t change_of(const cJSON *value)
{
  if (!value || cJSON_IsNull(value)) return 0;
  if (cJSON_IsNumber(value)) return (int64_t)value->valuedouble;
  for (int i = 0; i < run.changed; i++)
    if (strcmp(run.changes[i].name, value->valuestring) == 0) return run.changes[i].token;
  MUST(!"a change that was begun");
  return 0;
}

static const char *file_of(const cJSON *step)
{
  const cJSON *file = field(step, "file");
  static char path[4096];
  MUST((size_t)snprintf(path, sizeof path, "%s/%s", run.folder, file ? file->valuestring : "cache") < sizeof path);
  return path;
}

static vidcache_result open_as(const cJSON *step)
{
  vidcache_options options;
  options.size = sizeof options;
  EQUAL(VIDCACHE_OK, vidcache_options_init(&options));
  const cJSON *secret = field(step, "secret"), *portal = field(step, "portal"), *deadline = field(step, "page_deadline_ms");
  if (!cJSON_IsNull(secret)) {
    options.secret = secret ? secret->valuestring : SECRET;
    options.secret_len = strlen(options.secret);
  }
  if (deadline) options.page_deadline_ms = (uint32_t)deadline->valuedouble;
  const char *path = file_of(step);
  vidcache_free(&run.cache);
  return vidcache_open(path, strlen(path), portal ? (int64_t)portal->valuedouble : PORTAL, &options, &run.cache);
}

static void patch(const cJSON *step)
{
  FILE *file = fopen(file_of(step), "r+b");
  MUST(file != NULL && fseek(file, (long)field(step, "at")->valuedouble, SEEK_SET) == 0);
  struct text bytes = text_of(step);
  MUST(fwrite(bytes.bytes, 1, bytes.length, file) == bytes.length);
  free(bytes.bytes);
  fclose(file);
}

static void write_out(const cJSON *step)
{
  FILE *file = fopen(file_of(step), "wb");
  MUST(file != NULL);
  fputs(field(step, "text")->valuestring, file);
  fclose(file);
}

/* JSON, or a text that is to be taken for it. The caller frees it. */
static struct text body_of(const cJSON *step)
{
  const cJSON *answer = field(step, "answer");
  struct text body = {answer ? cJSON_PrintUnformatted(answer) : NULL, 0};
  if (!answer) return text_of(field(step, "body"));
  body.length = strlen(body.bytes);
  return body;
}

static void same_numbers(const cJSON *expected, const int64_t *numbers, size_t count)
{
  MUST(count == (size_t)cJSON_GetArraySize(expected));
  for (size_t i = 0; i < count; i++) MUST((int64_t)cJSON_GetArrayItem(expected, (int)i)->valuedouble == numbers[i]);
}

/* Whether a text of the library's has what it must and lacks what it must not. */
static void check_text(const cJSON *gives, vidcache_text *text)
{
  const char *bytes;
  size_t length;
  EQUAL(VIDCACHE_OK, vidcache_text_get(text, &bytes, &length));
  const cJSON *part;
  cJSON_ArrayForEach(part, field(gives, "has")) MUST(memmem(bytes, length, part->valuestring, strlen(part->valuestring)));
  cJSON_ArrayForEach(part, field(gives, "lacks"))
    MUST(!memmem(bytes, length, part->valuestring, strlen(part->valuestring)));
  vidcache_text_free(&text);
}

/* Whether a page's data is JSON of the time and the fields that are expected; null: one that is not there. */
static void check_data(const cJSON *gives, const char *bytes, size_t length)
{
  cJSON *data = cJSON_ParseWithLength(bytes, length);
  MUST(cJSON_IsObject(data));
  const double at = cJSON_GetNumberValue(field(data, "at")), ttl = cJSON_GetNumberValue(field(data, "ttl"));
  MUST(at == (double)(int64_t)at && fabs(at / 1000 - (double)time(NULL)) < 60 && ttl == (double)(int64_t)ttl && ttl > 0);
  const cJSON *expected;
  cJSON_ArrayForEach(expected, gives) {
    const cJSON *found = field(data, expected->string);
    MUST(cJSON_IsNull(expected) ? found == NULL : found != NULL && cJSON_Compare(expected, found, true));
  }
  cJSON_Delete(data);
}

enum { MANY = 8 };

static size_t many_of(const cJSON *step, vidcache_user *users, struct text *texts)
{
  size_t count = 0;
  const cJSON *value;
  cJSON_ArrayForEach(value, field(step, "users")) {
    MUST(count < MANY);
    texts[count] = text_of(value);
    users[count] = user_of(value, &texts[count]);
    count++;
  }
  return count;
}

/* Calls, and compares what came of it with `gives` where there is that. */
static vidcache_result call(const cJSON *step)
{
  const char *name = field(step, "call")->valuestring;
  const cJSON *gives = field(step, "gives");
  struct text key = text_of(field(step, "user")), email = text_of(field(step, "email"));
  const vidcache_user user = user_of(field(step, "user"), &key);
  vidcache_result result = VIDCACHE_OK;
#define IS(call) (strcmp(name, call) == 0)
#define NUMBER(of, member, value) \
  do { \
    const cJSON *expected_ = field(of, member); \
    if (expected_) MUST((int64_t)(cJSON_IsNull(expected_) ? 0 : expected_->valuedouble) == (int64_t)(value)); \
  } while (0)

  if (IS("open")) {
    result = open_as(step);
  } else if (IS("close")) {
    result = vidcache_close(run.cache);
  } else if (IS("write")) {
    write_out(step);
  } else if (IS("patch")) {
    patch(step);
  } else if (IS("resolve")) {
    vidcache_identity identity;
    result = vidcache_resolve(run.cache, &user, &identity);
    if (result == VIDCACHE_OK && cJSON_IsNull(gives)) MUST(identity.vid == 0 && identity.external_id == 0);
    if (result == VIDCACHE_OK && cJSON_IsObject(gives)) {
      NUMBER(gives, "vid", identity.vid);
      NUMBER(gives, "external_id", identity.external_id);
    }
  } else if (IS("decide")) {
    vidcache_decision decision;
    result = vidcache_decide(run.cache, &user, email.bytes, email.length, &decision);
    if (result == VIDCACHE_OK && gives) {
      const cJSON *named = field(gives, "email"), *reason = field(gives, "reason");
      if (named) MUST(strcmp(decision.email, cJSON_IsNull(named) ? "" : named->valuestring) == 0);
      if (reason) MUST(strcmp(vidcache_reason_name(decision.reason), reason->valuestring) == 0);
      NUMBER(gives, "id", decision.id);
    }
  } else if (IS("page_data") || IS("signed_out_page_data")) {
    char json[4096];
    size_t length = 0;
    const vidcache_user *whose = field(step, "user") ? &user : NULL;
    result = IS("page_data")
               ? vidcache_page_data(run.cache, whose, email.bytes, email.length, json, sizeof json, &length)
               : vidcache_signed_out_page_data(run.cache, json, sizeof json, &length);
    if (result == VIDCACHE_OK) check_data(gives, json, length);
  } else if (IS("quiet_period")) {
    uint64_t milliseconds = 0;
    result = vidcache_quiet_period(run.cache, &milliseconds);
    if (result == VIDCACHE_OK && gives) MUST(milliseconds == (uint64_t)gives->valuedouble);
  } else if (IS("snippet") || IS("signed_out_snippet")) {
    struct text nonce = text_of(field(step, "nonce"));
    char html[8192];
    size_t length = 0;
    result = IS("signed_out_snippet")
               ? vidcache_signed_out_snippet(run.cache, nonce.bytes, nonce.length, html, sizeof html - 1, &length)
             : field(step, "user") ? vidcache_snippet(run.cache, &user, email.bytes, email.length, nonce.bytes,
                                                      nonce.length, html, sizeof html - 1, &length)
                                   : vidcache_anonymous_snippet(run.cache, nonce.bytes, nonce.length, html,
                                                                sizeof html - 1, &length);
    if (result == VIDCACHE_OK && gives) {
      html[length] = '\0';
      const cJSON *text;
      cJSON_ArrayForEach(text, field(gives, "has")) MUST(strstr(html, text->valuestring) != NULL);
      cJSON_ArrayForEach(text, field(gives, "lacks")) MUST(strstr(html, text->valuestring) == NULL);
    }
    free(nonce.bytes);
  } else if (IS("link")) {
    result = vidcache_link(run.cache, &user, (int64_t)field(step, "vid")->valuedouble);
  } else if (IS("record")) {
    struct text body = body_of(step);
    vidcache_recorded recorded;
    result = vidcache_record(run.cache, &user, body.bytes, body.length, change_of(field(step, "change")), &recorded);
    if (result == VIDCACHE_OK && gives) {
      NUMBER(gives, "vid", recorded.vid);
      const cJSON *observed = field(gives, "email_observed");
      if (observed) MUST(cJSON_IsTrue(observed) == recorded.email_observed);
    }
    free(body.bytes);
  } else if (IS("link_shared")) {
    result = vidcache_link_shared(run.cache, &user, (int64_t)field(step, "vid")->valuedouble);
  } else if (IS("observe")) {
    struct text body = body_of(step);
    vidcache_observed *observed = NULL;
    result = vidcache_observe(run.cache, body.bytes, body.length, &observed);
    if (result == VIDCACHE_OK && gives) {
      const int64_t *vids;
      size_t count;
      EQUAL(VIDCACHE_OK, vidcache_observed_contacts(observed, &vids, &count));
      same_numbers(field(gives, "contacts"), vids, count);
      EQUAL(VIDCACHE_OK, vidcache_observed_missing(observed, &vids, &count));
      same_numbers(field(gives, "missing"), vids, count);
    }
    vidcache_observed_free(&observed);
    free(body.bytes);
  } else if (IS("apply_webhook")) {
    struct text body = body_of(step);
    vidcache_webhook_report report;
    result = vidcache_apply_webhook(run.cache, body.bytes, body.length, &report);
    if (result == VIDCACHE_OK && gives) {
      NUMBER(gives, "applied", report.applied);
      NUMBER(gives, "repeated", report.repeated);
      NUMBER(gives, "ignored", report.ignored);
    }
    free(body.bytes);
  } else if (IS("resolve_many")) {
    vidcache_user users[MANY];
    struct text texts[MANY];
    vidcache_identity identities[MANY];
    const size_t count = many_of(step, users, texts);
    result = vidcache_resolve_many(run.cache, users, count, identities);
    for (size_t i = 0; result == VIDCACHE_OK && gives && i < count; i++) {
      const cJSON *vid = cJSON_GetArrayItem(gives, (int)i);
      MUST(identities[i].vid == (cJSON_IsNull(vid) ? 0 : (int64_t)vid->valuedouble));
    }
    for (size_t i = 0; i < count; i++) free(texts[i].bytes);
  } else if (IS("decide_many")) {
    vidcache_user users[MANY];
    struct text texts[MANY], emails[MANY];
    vidcache_question questions[MANY];
    vidcache_decision decisions[MANY];
    const size_t count = many_of(step, users, texts);
    for (size_t i = 0; i < count; i++) {
      emails[i] = text_of(cJSON_GetArrayItem(field(step, "emails"), (int)i));
      questions[i].user = users[i];
      questions[i].email = emails[i].bytes;
      questions[i].email_len = emails[i].length;
    }
    result = vidcache_decide_many(run.cache, questions, count, decisions);
    for (size_t i = 0; result == VIDCACHE_OK && gives && i < count; i++)
      MUST(strcmp(vidcache_reason_name(decisions[i].reason), cJSON_GetArrayItem(gives, (int)i)->valuestring) == 0);
    for (size_t i = 0; i < count; i++) free(texts[i].bytes), free(emails[i].bytes);
  } else if (IS("explain")) {
    vidcache_decision decision;
    vidcache_text *text = NULL;
    result = vidcache_explain(run.cache, &user, email.bytes, email.length, &decision, &text);
    if (result == VIDCACHE_OK) check_text(gives, text);
  } else if (IS("export")) {
    vidcache_text *text = NULL;
    result = vidcache_export(run.cache, &user, &text);
    if (result == VIDCACHE_OK) check_text(gives, text);
  } else if (IS("forget")) {
    bool known;
    result = vidcache_forget(run.cache, &user, &known);
    if (result == VIDCACHE_OK && gives) MUST(cJSON_IsTrue(gives) == known);
  } else if (IS("begin_email_change")) {
    int64_t token;
    result = vidcache_begin_email_change(run.cache, &user, &token);
    if (result == VIDCACHE_OK) {
      MUST(run.changed < CHANGES);
      run.changes[run.changed].name = field(step, "as")->valuestring;
      run.changes[run.changed++].token = token;
    }
  } else if (IS("abandon_email_change")) {
    result = vidcache_abandon_email_change(run.cache, &user, change_of(field(step, "change")));
  } else if (IS("is_change_outstanding")) {
    bool outstanding;
    result = vidcache_is_change_outstanding(run.cache, &user, change_of(field(step, "change")), &outstanding);
    if (result == VIDCACHE_OK && gives) MUST(cJSON_IsTrue(gives) == outstanding);
  } else if (IS("change_outstanding_since")) {
    int64_t begun_at = -1;
    bool outstanding;
    const int64_t token = change_of(field(step, "change"));
    result = vidcache_change_outstanding_since(run.cache, &user, token, &begun_at, &outstanding);
    if (result == VIDCACHE_OK && gives) {
      MUST(cJSON_IsTrue(gives) == outstanding);
      MUST(outstanding ? llabs(begun_at / 1000 - (int64_t)time(NULL)) < 60 : begun_at == 0);
    }
  } else if (IS("stale_changes")) {
    vidcache_stale_change changes[CHANGES];
    size_t count = 0;
    usleep(2000);
    result = vidcache_stale_changes(run.cache, 0, changes, CHANGES, &count);
    if (result == VIDCACHE_OK && gives) {
      MUST(count == (size_t)cJSON_GetArraySize(gives));
      for (size_t i = 0; i < count; i++)
        MUST(strcmp(changes[i].user, cJSON_GetArrayItem(gives, (int)i)->valuestring) == 0);
    }
  } else if (IS("import")) {
    vidcache_import_row rows[16];
    struct text texts[2][16];
    size_t count = 0;
    const cJSON *row;
    cJSON_ArrayForEach(row, field(step, "rows")) {
      MUST(count < 16);
      texts[0][count] = text_of(field(row, "user"));
      texts[1][count] = text_of(field(row, "email"));
      const cJSON *at = field(row, "at");
      rows[count].user = user_of(field(row, "user"), &texts[0][count]);
      rows[count].vid = (int64_t)field(row, "vid")->valuedouble;
      rows[count].email = texts[1][count].bytes;
      rows[count].email_len = texts[1][count].length;
      rows[count++].email_at = at ? (int64_t)at->valuedouble : 0;
    }
    vidcache_import_report report;
    result = vidcache_import(run.cache, rows, count, &report);
    if (result == VIDCACHE_OK && gives) {
      NUMBER(gives, "imported", report.imported);
      NUMBER(gives, "vid_taken", report.vid_taken);
    }
    for (size_t i = 0; i < count; i++) free(texts[0][i].bytes), free(texts[1][i].bytes);
  } else if (IS("verify")) {
    vidcache_text *problems = NULL;
    size_t count = 0;
    result = vidcache_verify(run.cache, &problems, &count);
    if (result == VIDCACHE_OK && gives) MUST(count == (size_t)gives->valuedouble);
    vidcache_text_free(&problems);
  } else {
    MUST(!"a call that there is");
  }
  free(key.bytes);
  free(email.bytes);
  return result;
}

static void replay(const cJSON *kase, const char *file, const char *folder)
{
  static int number;
  memset(&run, 0, sizeof run);
  snprintf(run.folder, sizeof run.folder, "%s/%d", folder, number++);
  CHECK(mkdir(run.folder, 0700) == 0);
  cJSON *nothing = cJSON_CreateObject();
  EQUAL(VIDCACHE_OK, open_as(nothing));
  cJSON_Delete(nothing);
  int at = 0;
  const cJSON *step;
  cJSON_ArrayForEach(step, field(kase, "steps")) {
    snprintf(place, sizeof place, "%s: %s, step %d", file, field(kase, "name")->valuestring, ++at);
    const cJSON *fails = field(step, "fails");
    const char *expected = fails ? fails->valuestring : "ok", *found = vidcache_error_name(call(step));
    if (strcmp(expected, found) != 0) {
      fprintf(stderr, "%s: %s, and not %s\n", place, found, expected);
      abort();
    }
  }
  vidcache_free(&run.cache);
}

/* Every code's number has its name. */
static void codes_are_mapped(const char *path)
{
  cJSON *codes = read_json(path);
  const cJSON *code;
  cJSON_ArrayForEach(code, codes) {
    const int number = (int)field(code, "number")->valuedouble;
    MUST(strcmp(vidcache_error_name(number), code->string) == 0);
  }
  cJSON_Delete(codes);
}

int main(int count, char **arguments)
{
  CHECK(count == 3);
  const char *cases = arguments[1], *folder = arguments[2];
  DIR *entries = opendir(cases);
  CHECK(entries != NULL);
  int replayed = 0;
  for (struct dirent *entry; (entry = readdir(entries));) {
    const char *end = strrchr(entry->d_name, '.');
    if (!end || strcmp(end, ".json") != 0) continue;
    const char *path = path_in(cases, entry->d_name);
    if (strcmp(entry->d_name, "codes.json") == 0) {
      codes_are_mapped(path);
      continue;
    }
    cJSON *file = read_json(path);
    const cJSON *kase;
    cJSON_ArrayForEach(kase, field(file, "cases")) {
      replay(kase, entry->d_name, folder);
      replayed++;
    }
    cJSON_Delete(file);
  }
  closedir(entries);
  CHECK(replayed > 10);
  printf("conformance: %d cases\n", replayed);
  return 0;
}
