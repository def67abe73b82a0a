/**
 * @file vidcache.hpp
 * vidcache for C++17, over vidcache.h and header only: a cache closes itself, what may be absent is a std::optional,
 * texts are std::string_view, and what fails throws vidcache::error. The conventions of threads, forks and privacy are
 * those of vidcache.h.
 */

#ifndef VIDCACHE_HPP
#define VIDCACHE_HPP

#include "vidcache.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace vidcache {

/** A failed call: its code (VIDCACHE_BUSY, say), and words for a person. */
class error : public std::runtime_error {
public:
  error(vidcache_result code, const std::string &message, std::int64_t vid = 0, std::uint64_t retry_after_ms = 0)
      : std::runtime_error(message), code_(code), vid_(vid), retry_after_(retry_after_ms) {}

  /** One of vidcache_code. */
  vidcache_result code() const noexcept { return code_; }
  /** The code's name, the same in every language: "busy". */
  const char *name() const noexcept { return vidcache_error_name(code_); }
  /** The contact that the failure is about, if there is one. */
  std::optional<std::int64_t> vid() const noexcept
  {
    return vid_ == 0 ? std::nullopt : std::optional<std::int64_t>(vid_);
  }

  /** How long HubSpot's rate limit lasts at most; zero where that is not known. */
  std::chrono::milliseconds retry_after() const noexcept { return retry_after_; }

private:
  vidcache_result code_;
  std::int64_t vid_;
  std::chrono::milliseconds retry_after_;
};

namespace detail {

inline void check(vidcache_result result)
{
  if (result == VIDCACHE_OK) return;
  vidcache_error last{};
  last.size = sizeof last;
  vidcache_last_error(&last);
  if (last.code != result) throw error(result, vidcache_error_name(result));
  throw error(result, std::string(last.message, last.message_len), last.vid, last.retry_after_ms);
}

/** A pointer that is not NULL, for a text that is there but empty. */
inline const char *data(std::string_view text) noexcept { return text.data() ? text.data() : ""; }

inline const char *data(const std::optional<std::string_view> &text) noexcept { return text ? data(*text) : nullptr; }

inline std::size_t size(const std::optional<std::string_view> &text) noexcept { return text ? text->size() : 0; }

} // namespace detail

/** The app's own id of a user: an integer or a text, which must outlive the call. Never an email. */
class user {
public:
  user(std::int64_t id) noexcept : raw_(vidcache_user_id(id)) {}
  user(int id) noexcept : raw_(vidcache_user_id(id)) {}
  user(std::string_view text) noexcept : raw_(vidcache_user_text(detail::data(text), text.size())) {}
  user(const char *text) noexcept : user(std::string_view(text)) {}
  user(const std::string &text) noexcept : user(std::string_view(text)) {}
  const vidcache_user *get() const noexcept { return &raw_; }

private:
  vidcache_user raw_;
};

/** Which contact a user is. */
struct identity {
  std::int64_t vid;
  /** What a page gives as HubSpot's external id; none where another user gives that one. */
  std::optional<std::int64_t> external_id;
};

/** What a page may say of a user: email and id, id alone, or nothing. */
struct decision {
  std::optional<std::string> email;
  std::optional<std::int64_t> id;
  /** One of VIDCACHE_REASON_…. */
  std::int32_t reason;
  const char *reason_name() const noexcept { return vidcache_reason_name(reason); }
};

struct recorded {
  std::int64_t vid;
  /** Whether the call made the contact, if the answer says so. */
  std::optional<bool> created;
  bool canonical;
  bool email_observed;
};

struct observed {
  std::vector<std::int64_t> contacts;
  std::vector<std::int64_t> missing;
};

/** A user, and the email that the app believes to be theirs. */
struct question {
  vidcache::user user;
  std::optional<std::string_view> email;
};

struct user_to_read {
  std::string user;
  std::int64_t vid;
  /** 0: never. */
  std::chrono::milliseconds read_at;
};

/** A user whose contact is in question. */
struct conflict {
  std::string user;
  /** None where they are linked to none. */
  std::optional<std::int64_t> vid;
  /** The contact that holds their email, or that is another user's; none where HubSpot did not name it. */
  std::optional<std::int64_t> holder;
  /** One of VIDCACHE_CONFLICT_…. */
  std::int32_t why;
  /** Since when it stands: since 1970 UTC, by the app's clock. */
  std::chrono::milliseconds since;
};

struct stale_change {
  std::string user;
  std::int64_t token;
  std::chrono::milliseconds begun_at;
};

/** How to open a cache; what is left as it is has the library's default. */
struct options {
  // Made by bindings/tables.
  std::optional<std::string_view> secret;
  std::optional<std::string_view> loader_host;
  std::optional<std::uint64_t> memory;
  std::optional<std::chrono::milliseconds> busy_timeout;
  std::optional<std::chrono::milliseconds> page_deadline;
  bool synchronous_full = true;
  std::vector<std::string_view> old_secrets;
};

namespace detail {

struct free_text {
  void operator()(vidcache_text *text) const noexcept { vidcache_text_free(&text); }
};

inline std::string take(vidcache_text *raw)
{
  const std::unique_ptr<vidcache_text, free_text> text(raw);
  const char *bytes = nullptr;
  std::size_t length = 0;
  check(vidcache_text_get(text.get(), &bytes, &length));
  return std::string(bytes, length);
}

} // namespace detail

/** Moves a file that will not open out of the way, and says where to: see vidcache_move_aside. */
inline std::string move_aside(std::string_view path)
{
  vidcache_text *moved_to = nullptr;
  detail::check(vidcache_move_aside(detail::data(path), path.size(), &moved_to));
  return detail::take(moved_to);
}

/**
 * Puts a copy of a backup in the place of a file that nobody has open, and says where that was moved to, if there was
 * one: see vidcache_restore.
 */
inline std::string restore(std::string_view from, std::string_view path)
{
  vidcache_text *moved_to = nullptr;
  detail::check(vidcache_restore(detail::data(from), from.size(), detail::data(path), path.size(), &moved_to));
  return detail::take(moved_to);
}

/**
 * An open cache. It may be moved, not copied; threads may share it by reference. After a move only assignment and
 * destruction are of use.
 */
class cache {
public:
  /** @throws vidcache::error */
  cache(std::string_view path, std::int64_t portal, const options &chosen = {})
  {
    vidcache_options raw{};
    raw.size = sizeof raw;
    detail::check(vidcache_options_init(&raw));
    // Made by bindings/tables.
    raw.secret = detail::data(chosen.secret);
    raw.secret_len = detail::size(chosen.secret);
    raw.loader_host = detail::data(chosen.loader_host);
    raw.loader_host_len = detail::size(chosen.loader_host);
    if (chosen.memory) raw.memory = *chosen.memory;
    if (chosen.busy_timeout) raw.busy_timeout_ms = milliseconds(*chosen.busy_timeout);
    if (chosen.page_deadline) raw.page_deadline_ms = milliseconds(*chosen.page_deadline);
    raw.synchronous = chosen.synchronous_full ? VIDCACHE_SYNCHRONOUS_FULL : VIDCACHE_SYNCHRONOUS_NORMAL;
    std::vector<vidcache_secret> old_secrets;
    for (const auto &secret : chosen.old_secrets) old_secrets.push_back({secret.data(), secret.size()});
    raw.old_secrets = old_secrets.data();
    raw.old_secrets_len = static_cast<std::uint32_t>(old_secrets.size());
    vidcache_handle *opened = nullptr;
    detail::check(vidcache_open(detail::data(path), path.size(), portal, &raw, &opened));
    handle_.reset(opened);
  }

  std::optional<identity> resolve(const user &who) const
  {
    vidcache_identity found;
    detail::check(vidcache_resolve(handle_.get(), who.get(), &found));
    return from(found);
  }

  decision decide(const user &who, std::optional<std::string_view> email) const
  {
    vidcache_decision made;
    detail::check(vidcache_decide(handle_.get(), who.get(), detail::data(email), detail::size(email), &made));
    return from(made);
  }

  /** In the order of the users. */
  std::vector<std::optional<identity>> resolve_many(const std::vector<user> &who) const
  {
    std::vector<vidcache_user> users;
    for (const user &each : who) users.push_back(*each.get());
    std::vector<vidcache_identity> found(users.size());
    detail::check(vidcache_resolve_many(handle_.get(), users.data(), users.size(), found.data()));
    std::vector<std::optional<identity>> identities;
    for (const vidcache_identity &each : found) identities.push_back(from(each));
    return identities;
  }

  /** In the order of the questions. */
  std::vector<decision> decide_many(const std::vector<question> &asked) const
  {
    std::vector<vidcache_question> questions;
    for (const question &each : asked) {
      questions.push_back({*each.user.get(), detail::data(each.email), detail::size(each.email)});
    }
    std::vector<vidcache_decision> made(questions.size());
    detail::check(vidcache_decide_many(handle_.get(), questions.data(), questions.size(), made.data()));
    std::vector<decision> decisions;
    for (const vidcache_decision &each : made) decisions.push_back(from(each));
    return decisions;
  }

  std::string snippet(const user &who, std::optional<std::string_view> email,
                      std::optional<std::string_view> nonce = std::nullopt) const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_snippet(handle_.get(), who.get(), detail::data(email), detail::size(email), detail::data(nonce),
                              detail::size(nonce), buffer, capacity, length);
    });
  }

  std::string anonymous_snippet(std::optional<std::string_view> nonce = std::nullopt) const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_anonymous_snippet(handle_.get(), detail::data(nonce), detail::size(nonce), buffer, capacity,
                                        length);
    });
  }

  /** For the page after a sign-out: see vidcache_signed_out_snippet. */
  std::string signed_out_snippet(std::optional<std::string_view> nonce = std::nullopt) const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_signed_out_snippet(handle_.get(), detail::data(nonce), detail::size(nonce), buffer, capacity,
                                         length);
    });
  }

  /** What the snippet says, as JSON for a page that the app makes itself: see vidcache_page_data. */
  std::string page_data(const user &who, std::optional<std::string_view> email) const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_page_data(handle_.get(), who.get(), detail::data(email), detail::size(email), buffer, capacity,
                                length);
    });
  }

  /** The JSON for a visitor whom the app does not know. */
  std::string anonymous_page_data() const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_page_data(handle_.get(), nullptr, nullptr, 0, buffer, capacity, length);
    });
  }

  /** The JSON for a visitor who has just signed out. */
  std::string signed_out_page_data() const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_signed_out_page_data(handle_.get(), buffer, capacity, length);
    });
  }

  void link(const user &who, std::int64_t vid) { detail::check(vidcache_link(handle_.get(), who.get(), vid)); }

  void link_shared(const user &who, std::int64_t vid)
  {
    detail::check(vidcache_link_shared(handle_.get(), who.get(), vid));
  }

  /** `change` is the token of the change that the answer finishes, `asked_at` when the call was begun, since 1970. */
  recorded record(const user &who, std::string_view answer, std::optional<std::int64_t> change = std::nullopt,
                  std::optional<std::chrono::milliseconds> asked_at = std::nullopt)
  {
    vidcache_recorded made;
    // 0 is "none" in C; here it is a number that is no token.
    const std::int64_t token = change ? (*change == 0 ? -1 : *change) : 0;
    const char *const data = detail::data(answer);
    detail::check(asked_at ? vidcache_record_read(handle_.get(), who.get(), data, answer.size(), token, asked_at->count(), &made)
                           : vidcache_record(handle_.get(), who.get(), data, answer.size(), token, &made));
    const std::optional<bool> created = made.created < 0 ? std::nullopt : std::optional<bool>(made.created == 1);
    return {made.vid, created, made.canonical, made.email_observed};
  }

  observed observe(std::string_view answer, std::optional<std::chrono::milliseconds> asked_at = std::nullopt)
  {
    vidcache_observed *raw = nullptr;
    const char *const data = detail::data(answer);
    detail::check(asked_at ? vidcache_observe_read(handle_.get(), data, answer.size(), asked_at->count(), &raw)
                           : vidcache_observe(handle_.get(), data, answer.size(), &raw));
    const std::unique_ptr<vidcache_observed, free_observed> found(raw);
    const std::int64_t *vids = nullptr;
    std::size_t count = 0;
    observed result;
    detail::check(vidcache_observed_contacts(found.get(), &vids, &count));
    result.contacts.assign(vids, vids + count);
    detail::check(vidcache_observed_missing(found.get(), &vids, &count));
    result.missing.assign(vids, vids + count);
    return result;
  }

  vidcache_webhook_report apply_webhook(std::string_view body)
  {
    vidcache_webhook_report report;
    detail::check(vidcache_apply_webhook(handle_.get(), detail::data(body), body.size(), &report));
    return report;
  }

  std::int64_t begin_email_change(const user &who)
  {
    std::int64_t token;
    detail::check(vidcache_begin_email_change(handle_.get(), who.get(), &token));
    return token;
  }

  void abandon_email_change(const user &who, std::int64_t token)
  {
    detail::check(vidcache_abandon_email_change(handle_.get(), who.get(), token));
  }

  bool is_change_outstanding(const user &who, std::int64_t token) const
  {
    bool outstanding;
    detail::check(vidcache_is_change_outstanding(handle_.get(), who.get(), token, &outstanding));
    return outstanding;
  }

  /** Since when the change has counted for all users of the contact, by the app's clock; none once it has ended. */
  std::optional<std::chrono::milliseconds> change_outstanding_since(const user &who, std::int64_t token) const
  {
    std::int64_t begun_at;
    bool outstanding;
    detail::check(vidcache_change_outstanding_since(handle_.get(), who.get(), token, &begun_at, &outstanding));
    return outstanding ? std::optional<std::chrono::milliseconds>(begun_at) : std::nullopt;
  }

  /** How long after the beginning of a change HubSpot may be told of it: see vidcache_quiet_period. */
  std::chrono::milliseconds quiet_period() const
  {
    std::uint64_t milliseconds;
    detail::check(vidcache_quiet_period(handle_.get(), &milliseconds));
    return std::chrono::milliseconds(milliseconds);
  }

  /** Takes the user's lease, or renews the one that `held` is the token of; none: it is another job's, or has ended. */
  std::optional<std::int64_t> lease(const user &who, std::chrono::milliseconds time, std::int64_t held = 0) const
  {
    std::int64_t token;
    const std::uint64_t milliseconds = time.count() < 0 ? 0 : static_cast<std::uint64_t>(time.count());
    detail::check(vidcache_lease(handle_.get(), who.get(), milliseconds, held, &token));
    return token == 0 ? std::nullopt : std::optional<std::int64_t>(token);
  }

  /** Ends a lease; false: it had ended. */
  bool release(const user &who, std::int64_t held) const
  {
    bool released;
    detail::check(vidcache_release(handle_.get(), who.get(), held, &released));
    return released;
  }

  std::vector<user_to_read> users_to_read(bool confirmed, std::chrono::milliseconds older_than,
                                          const user_to_read *after = nullptr, std::size_t limit = 100) const
  {
    std::vector<vidcache_user_to_read> raw(limit);
    vidcache_user_to_read last{};
    if (after) {
      last.vid = after->vid;
      last.read_at = after->read_at.count();
    }
    std::size_t count = 0;
    const std::uint64_t age = older_than.count() < 0 ? 0 : static_cast<std::uint64_t>(older_than.count());
    detail::check(vidcache_users_to_read(handle_.get(), confirmed, age, after ? &last : nullptr, raw.data(), raw.size(), &count));
    std::vector<user_to_read> users;
    for (std::size_t at = 0; at < count; ++at) {
      users.push_back({std::string(raw[at].user, raw[at].user_len), raw[at].vid, std::chrono::milliseconds(raw[at].read_at)});
    }
    return users;
  }

  std::vector<stale_change> stale_changes(std::chrono::milliseconds older_than, std::size_t limit = 1000) const
  {
    std::vector<vidcache_stale_change> raw(limit);
    std::size_t count = 0;
    const std::uint64_t age = older_than.count() < 0 ? 0 : static_cast<std::uint64_t>(older_than.count());
    detail::check(vidcache_stale_changes(handle_.get(), age, raw.data(), raw.size(), &count));
    std::vector<stale_change> changes;
    for (std::size_t at = 0; at < count; ++at) {
      changes.push_back({std::string(raw[at].user, raw[at].user_len), raw[at].token,
                         std::chrono::milliseconds(raw[at].begun_at)});
    }
    return changes;
  }

  /** The conflicts that are not over, in the order of their users' keys, those after a user. */
  std::vector<conflict> conflicts(const user *after = nullptr, std::size_t limit = 100) const
  {
    std::vector<vidcache_conflict> raw(limit);
    std::size_t count = 0;
    detail::check(vidcache_conflicts(handle_.get(), after ? after->get() : nullptr, raw.data(), raw.size(), &count));
    std::vector<conflict> found;
    for (std::size_t at = 0; at < count; ++at) {
      const vidcache_conflict &one = raw[at];
      found.push_back({std::string(one.user, one.user_len), optional(one.vid), optional(one.holder), one.why,
                       std::chrono::milliseconds(one.since)});
    }
    return found;
  }

  /** Says that the user's conflict is over. */
  void end_conflict(const user &who) { detail::check(vidcache_end_conflict(handle_.get(), who.get())); }

  /** Why no contact is to be made for a user who has none: one of VIDCACHE_REFUSAL_…; none: there is no reason. */
  std::optional<std::int32_t> refusal(const user &who) const
  {
    std::int32_t why;
    detail::check(vidcache_refusal(handle_.get(), who.get(), &why));
    return why == 0 ? std::nullopt : std::optional<std::int32_t>(why);
  }

  /** All users of a contact, by any of the ids that were merged into it. */
  std::vector<std::string> users_of(std::int64_t vid) const
  {
    std::vector<vidcache_key> raw(4);
    std::size_t count = 0;
    // Another may come between two calls.
    for (;;) {
      detail::check(vidcache_users_of(handle_.get(), vid, raw.data(), raw.size(), &count));
      if (count <= raw.size()) break;
      raw.resize(count);
    }
    std::vector<std::string> users;
    for (std::size_t at = 0; at < count; ++at) users.emplace_back(raw[at].user, raw[at].user_len);
    return users;
  }

  /** Doubts all that HubSpot has said, after an old copy of the file was put back. */
  void doubt_all() { detail::check(vidcache_doubt_all(handle_.get())); }

  vidcache_import_report import(const std::vector<vidcache_import_row> &rows)
  {
    vidcache_import_report report;
    detail::check(vidcache_import(handle_.get(), rows.data(), rows.size(), &report));
    return report;
  }

  vidcache_stats stats() const
  {
    vidcache_stats made{};
    made.size = sizeof made;
    detail::check(vidcache_get_stats(handle_.get(), &made));
    return made;
  }

  /** Why a page says what it says, a sentence to a line, for people to read. */
  std::string explain(const user &who, std::optional<std::string_view> email) const
  {
    vidcache_decision made;
    vidcache_text *raw = nullptr;
    detail::check(vidcache_explain(handle_.get(), who.get(), detail::data(email), detail::size(email), &made, &raw));
    return detail::take(raw);
  }

  /** All that is held on the user, as JSON. */
  std::string export_user(const user &who) const
  {
    vidcache_text *raw = nullptr;
    detail::check(vidcache_export(handle_.get(), who.get(), &raw));
    return detail::take(raw);
  }

  /** @return whether anything was held */
  bool forget(const user &who)
  {
    bool known;
    detail::check(vidcache_forget(handle_.get(), who.get(), &known));
    return known;
  }

  /** What is wrong with the file, one a line; empty when nothing is. */
  std::string verify() const
  {
    vidcache_text *raw = nullptr;
    std::size_t count = 0;
    detail::check(vidcache_verify(handle_.get(), &raw, &count));
    return detail::take(raw);
  }

  /** Copies the file, as of one commit, to a new file at `path`: see vidcache_backup. */
  void backup(std::string_view path) const
  {
    detail::check(vidcache_backup(handle_.get(), detail::data(path), path.size()));
  }

  std::int64_t portal() const
  {
    std::int64_t number;
    detail::check(vidcache_portal(handle_.get(), &number));
    return number;
  }

  /** Every later call throws an error with VIDCACHE_CLOSED. */
  void close() { detail::check(vidcache_close(handle_.get())); }

  /** For functions of vidcache.h. */
  vidcache_handle *get() const noexcept { return handle_.get(); }

private:
  struct free_handle {
    void operator()(vidcache_handle *handle) const noexcept { vidcache_free(&handle); }
  };
  struct free_observed {
    void operator()(vidcache_observed *observed) const noexcept { vidcache_observed_free(&observed); }
  };

  static std::optional<identity> from(const vidcache_identity &found)
  {
    if (found.vid == 0) return std::nullopt;
    return identity{found.vid, optional(found.external_id)};
  }

  static decision from(const vidcache_decision &made)
  {
    decision result{std::nullopt, optional(made.id), made.reason};
    if (made.email_len > 0) result.email.emplace(made.email, made.email_len);
    return result;
  }

  static std::optional<std::int64_t> optional(std::int64_t number) noexcept
  {
    return number == 0 ? std::nullopt : std::optional<std::int64_t>(number);
  }

  /** Out of range is out of range in C, too. */
  static std::uint32_t milliseconds(std::chrono::milliseconds time) noexcept
  {
    return time.count() < 0 || time.count() > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(time.count());
  }

  template <typename Write> static std::string fill(const Write &write)
  {
    std::string html(2560, '\0');
    std::size_t length = 0;
    vidcache_result result = write(html.data(), html.size(), &length);
    // The answer may have become longer in between, though not often.
    while (result == VIDCACHE_BUFFER_TOO_SMALL) {
      html.resize(length);
      result = write(html.data(), html.size(), &length);
    }
    detail::check(result);
    html.resize(length);
    return html;
  }

  std::unique_ptr<vidcache_handle, free_handle> handle_;
};

} // namespace vidcache

#endif
