/**
 * @file vidcache.hpp
 * vidcache for C++17, over vidcache.h and header only: a cache closes itself, what may be absent is a std::optional,
 * texts are std::string_view, and what fails throws vidcache::error. The conventions of threads, forks and privacy are
 * those of vidcache.h.
 *
 * Where exceptions are off (-fno-exceptions), or VIDCACHE_NO_EXCEPTIONS is defined, nothing throws: each function
 * returns a vidcache::result of what it returns else, and vidcache::cache::open takes the place of the constructor.
 */

#ifndef VIDCACHE_HPP
#define VIDCACHE_HPP

#include "vidcache.h"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if !defined(VIDCACHE_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#define VIDCACHE_NO_EXCEPTIONS
#endif

namespace vidcache {

// Two parts of one program may differ in this: what they have of this header then has two names.
#ifdef VIDCACHE_NO_EXCEPTIONS
inline namespace returning {
#else
inline namespace throwing {
#endif

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

/**
 * A value, or why there is none: what a function returns where nothing may throw. To ask for what is not there ends the
 * program (std::abort).
 */
template <typename T> class result {
public:
  result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  result(vidcache::error failure) : held_(std::in_place_index<1>, std::move(failure)) {}

  bool has_value() const noexcept { return held_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }
  T &value() & { return there(std::get_if<0>(&held_)); }
  const T &value() const & { return there(std::get_if<0>(&held_)); }
  T &&value() && { return std::move(there(std::get_if<0>(&held_))); }
  T &operator*() & { return value(); }
  const T &operator*() const & { return value(); }
  T &&operator*() && { return std::move(*this).value(); }
  T *operator->() { return &value(); }
  const T *operator->() const { return &value(); }
  const vidcache::error &error() const { return there(std::get_if<1>(&held_)); }

private:
  template <typename Held> static Held &there(Held *held)
  {
    if (!held) std::abort();
    return *held;
  }

  std::variant<T, vidcache::error> held_;
};

/** Whether something was done, or why it was not. */
template <> class result<void> {
public:
  result() = default;
  result(vidcache::error failure) : failure_(std::move(failure)) {}

  bool has_value() const noexcept { return !failure_; }
  explicit operator bool() const noexcept { return has_value(); }
  const vidcache::error &error() const
  {
    if (!failure_) std::abort();
    return *failure_;
  }

private:
  std::optional<vidcache::error> failure_;
};

#ifdef VIDCACHE_NO_EXCEPTIONS
/** What a function returns that gives a T. */
template <typename T> using returned = result<T>;
#else
/** What a function returns that gives a T; what fails throws vidcache::error. */
template <typename T> using returned = T;
#endif

namespace detail {

/** What the last call of this thread that failed had to say. */
inline error failure(vidcache_result code)
{
  vidcache_error last{};
  last.size = sizeof last;
  if (vidcache_last_error(&last) != VIDCACHE_OK || last.code != code) return error(code, vidcache_error_name(code));
  return error(code, std::string(last.message, last.message_len), last.vid, last.retry_after_ms);
}

/** What `make` makes of the outputs of a call that succeeded. */
template <typename Make> returned<std::invoke_result_t<Make>> answer(vidcache_result code, Make make)
{
#ifdef VIDCACHE_NO_EXCEPTIONS
  if (code != VIDCACHE_OK) return failure(code);
#else
  if (code != VIDCACHE_OK) throw failure(code);
#endif
  return make();
}

inline returned<void> done(vidcache_result code)
{
#ifdef VIDCACHE_NO_EXCEPTIONS
  return code == VIDCACHE_OK ? result<void>() : result<void>(failure(code));
#else
  if (code != VIDCACHE_OK) throw failure(code);
#endif
}

/** A pointer that is not NULL, for a text that is there but empty. */
inline const char *data(std::string_view text) noexcept { return text.data() ? text.data() : ""; }

inline const char *data(const std::optional<std::string_view> &text) noexcept { return text ? data(*text) : nullptr; }

inline std::size_t size(const std::optional<std::string_view> &text) noexcept { return text ? text->size() : 0; }

} // namespace detail

/**
 * The app's own id of a user: an integer of any type, or a text, which must outlive the call. Never an email. A number
 * above 2^63 - 1 is no id: every call with it fails with VIDCACHE_INVALID_USER_KEY, as with an empty text.
 */
class user {
  template <typename T> static constexpr bool is_number = std::is_integral_v<T> && !std::is_same_v<T, bool> &&
                                                          !std::is_same_v<T, char> && !std::is_same_v<T, wchar_t> &&
                                                          !std::is_same_v<T, char16_t> && !std::is_same_v<T, char32_t>
#ifdef __cpp_char8_t
                                                          && !std::is_same_v<T, char8_t>
#endif
    ;

public:
  template <typename Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  user(Integer id) noexcept : raw_(from(id))
  {
    static_assert(is_number<Integer>, "a user's id is no truth value and no character");
    static_assert(sizeof(Integer) <= sizeof(std::int64_t), "a user's id has at most 64 bits");
  }
  user(std::nullptr_t) = delete;
  user(std::string_view text) noexcept : raw_(vidcache_user_text(detail::data(text), text.size())) {}
  user(const char *text) noexcept : user(std::string_view(text)) {}
  user(const std::string &text) noexcept : user(std::string_view(text)) {}
  const vidcache_user *get() const noexcept { return &raw_; }

private:
  template <typename Integer> static vidcache_user from(Integer id) noexcept
  {
    if constexpr (std::is_unsigned_v<Integer> && sizeof(Integer) >= sizeof(std::int64_t)) {
      if (id > static_cast<Integer>(INT64_MAX)) return vidcache_user_text("", 0);
    }
    return vidcache_user_id(static_cast<std::int64_t>(id));
  }

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

/** Out of range is out of range in C, too. */
inline std::uint32_t milliseconds(std::chrono::milliseconds time) noexcept
{
  return time.count() < 0 || time.count() > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(time.count());
}

/** What was chosen, as C has it: it points into that, and into `old_secrets`. */
inline vidcache_result choose(const options &chosen, std::vector<vidcache_secret> &old_secrets, vidcache_options &raw)
{
  raw.size = sizeof raw;
  const vidcache_result code = vidcache_options_init(&raw);
  // Made by bindings/tables.
  raw.secret = detail::data(chosen.secret);
  raw.secret_len = detail::size(chosen.secret);
  raw.loader_host = detail::data(chosen.loader_host);
  raw.loader_host_len = detail::size(chosen.loader_host);
  if (chosen.memory) raw.memory = *chosen.memory;
  if (chosen.busy_timeout) raw.busy_timeout_ms = milliseconds(*chosen.busy_timeout);
  if (chosen.page_deadline) raw.page_deadline_ms = milliseconds(*chosen.page_deadline);
  raw.synchronous = chosen.synchronous_full ? VIDCACHE_SYNCHRONOUS_FULL : VIDCACHE_SYNCHRONOUS_NORMAL;
  for (const auto &secret : chosen.old_secrets) old_secrets.push_back({secret.data(), secret.size()});
  raw.old_secrets = old_secrets.data();
  raw.old_secrets_len = static_cast<std::uint32_t>(old_secrets.size());
  return code;
}

struct free_text {
  void operator()(vidcache_text *text) const noexcept { vidcache_text_free(&text); }
};

/** The text that a call gave, freed. */
inline returned<std::string> take(vidcache_result code, vidcache_text *raw)
{
  const std::unique_ptr<vidcache_text, free_text> text(raw);
  const char *bytes = nullptr;
  std::size_t length = 0;
  if (code == VIDCACHE_OK) code = vidcache_text_get(text.get(), &bytes, &length);
  return answer(code, [&] { return std::string(bytes, length); });
}

} // namespace detail

/** The version of the library that is linked: "1.2.3". VIDCACHE_VERSION is the header's. */
inline const char *version() noexcept { return vidcache_version(); }

/** What VIDCACHE_ABI_VERSION is in the header of the library that is linked. */
inline std::uint32_t abi_version() noexcept { return vidcache_abi_version(); }

/** What an endpoint for HubSpot's webhooks received; a header that did not come is none: vidcache_signed_request. */
struct signed_request {
  std::string_view method;
  std::string_view uri;
  std::string_view body;
  std::optional<std::string_view> signature_v3;
  std::optional<std::string_view> timestamp;
  std::optional<std::string_view> signature;
  std::optional<std::string_view> version;
  bool take_v1 = false;
  bool take_v2 = false;
};

/** Fails with VIDCACHE_INVALID_SIGNATURE unless HubSpot has signed it about `now`: see vidcache_verify_signature. */
inline returned<void> verify_signature(std::string_view secret, const signed_request &request,
                                       std::chrono::system_clock::time_point now = std::chrono::system_clock::now())
{
  vidcache_signed_request raw{};
  raw.size = sizeof raw;
  const auto set = [](const char *&bytes, std::size_t &length, const std::optional<std::string_view> &text) {
    bytes = detail::data(text);
    length = detail::size(text);
  };
  set(raw.method, raw.method_len, request.method);
  set(raw.uri, raw.uri_len, request.uri);
  set(raw.body, raw.body_len, request.body);
  set(raw.signature_v3, raw.signature_v3_len, request.signature_v3);
  set(raw.timestamp, raw.timestamp_len, request.timestamp);
  set(raw.signature, raw.signature_len, request.signature);
  set(raw.version, raw.version_len, request.version);
  raw.take_v1 = request.take_v1;
  raw.take_v2 = request.take_v2;
  const auto since_1970 = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
  return detail::done(vidcache_verify_signature(detail::data(secret), secret.size(), &raw, since_1970.count()));
}

/** Moves a file that will not open out of the way, and says where to: see vidcache_move_aside. */
inline returned<std::string> move_aside(std::string_view path)
{
  vidcache_text *moved_to = nullptr;
  const vidcache_result code = vidcache_move_aside(detail::data(path), path.size(), &moved_to);
  return detail::take(code, moved_to);
}

/**
 * Puts a copy of a backup in the place of a file that nobody has open, and says where that was moved to, if there was
 * one: see vidcache_restore.
 */
inline returned<std::string> restore(std::string_view from, std::string_view path)
{
  vidcache_text *moved_to = nullptr;
  const vidcache_result code =
      vidcache_restore(detail::data(from), from.size(), detail::data(path), path.size(), &moved_to);
  return detail::take(code, moved_to);
}

/**
 * An open cache. It may be moved, not copied; threads may share it by reference. After a move only assignment and
 * destruction are of use.
 */
class cache {
public:
#ifndef VIDCACHE_NO_EXCEPTIONS
  /** @throws vidcache::error */
  cache(std::string_view path, std::int64_t portal, const options &chosen = {}) : cache(open(path, portal, chosen)) {}
#endif

  /** Opens the file, which is made where there is none: see vidcache_open. */
  static returned<cache> open(std::string_view path, std::int64_t portal, const options &chosen = {})
  {
    vidcache_options raw{};
    std::vector<vidcache_secret> old_secrets;
    vidcache_result code = detail::choose(chosen, old_secrets, raw);
    vidcache_handle *opened = nullptr;
    if (code == VIDCACHE_OK) code = vidcache_open(detail::data(path), path.size(), portal, &raw, &opened);
    return detail::answer(code, [&] { return cache(opened); });
  }

  returned<std::optional<identity>> resolve(const user &who) const
  {
    vidcache_identity found;
    return detail::answer(vidcache_resolve(handle_.get(), who.get(), &found), [&] { return from(found); });
  }

  /** The user's contact from memory alone; none where memory does not have it. Never waits: see vidcache_recall. */
  returned<std::optional<std::optional<identity>>> recall(const user &who) const
  {
    vidcache_identity found;
    bool known;
    return detail::answer(vidcache_recall(handle_.get(), who.get(), &found, &known), [&] {
      return known ? std::optional<std::optional<identity>>(from(found)) : std::nullopt;
    });
  }

  returned<decision> decide(const user &who, std::optional<std::string_view> email) const
  {
    vidcache_decision made;
    const vidcache_result code =
        vidcache_decide(handle_.get(), who.get(), detail::data(email), detail::size(email), &made);
    return detail::answer(code, [&] { return from(made); });
  }

  /** In the order of the users. */
  returned<std::vector<std::optional<identity>>> resolve_many(const std::vector<user> &who) const
  {
    std::vector<vidcache_user> users;
    for (const user &each : who) users.push_back(*each.get());
    std::vector<vidcache_identity> found(users.size());
    return detail::answer(vidcache_resolve_many(handle_.get(), users.data(), users.size(), found.data()), [&] {
      std::vector<std::optional<identity>> identities;
      for (const vidcache_identity &each : found) identities.push_back(from(each));
      return identities;
    });
  }

  /** In the order of the questions. */
  returned<std::vector<decision>> decide_many(const std::vector<question> &asked) const
  {
    std::vector<vidcache_question> questions;
    for (const question &each : asked) {
      questions.push_back({*each.user.get(), detail::data(each.email), detail::size(each.email)});
    }
    std::vector<vidcache_decision> made(questions.size());
    return detail::answer(vidcache_decide_many(handle_.get(), questions.data(), questions.size(), made.data()), [&] {
      std::vector<decision> decisions;
      for (const vidcache_decision &each : made) decisions.push_back(from(each));
      return decisions;
    });
  }

  returned<std::string> snippet(const user &who, std::optional<std::string_view> email,
                                std::optional<std::string_view> nonce = std::nullopt) const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_snippet(handle_.get(), who.get(), detail::data(email), detail::size(email), detail::data(nonce),
                              detail::size(nonce), buffer, capacity, length);
    });
  }

  returned<std::string> anonymous_snippet(std::optional<std::string_view> nonce = std::nullopt) const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_anonymous_snippet(handle_.get(), detail::data(nonce), detail::size(nonce), buffer, capacity,
                                        length);
    });
  }

  /** For the page after a sign-out: see vidcache_signed_out_snippet. */
  returned<std::string> signed_out_snippet(std::optional<std::string_view> nonce = std::nullopt) const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_signed_out_snippet(handle_.get(), detail::data(nonce), detail::size(nonce), buffer, capacity,
                                         length);
    });
  }

  /** What the snippet says, as JSON for a page that the app makes itself: see vidcache_page_data. */
  returned<std::string> page_data(const user &who, std::optional<std::string_view> email) const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_page_data(handle_.get(), who.get(), detail::data(email), detail::size(email), buffer, capacity,
                                length);
    });
  }

  /** The JSON for a visitor whom the app does not know. */
  returned<std::string> anonymous_page_data() const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_page_data(handle_.get(), nullptr, nullptr, 0, buffer, capacity, length);
    });
  }

  /** The JSON for a visitor who has just signed out. */
  returned<std::string> signed_out_page_data() const
  {
    return fill([&](char *buffer, std::size_t capacity, std::size_t *length) {
      return vidcache_signed_out_page_data(handle_.get(), buffer, capacity, length);
    });
  }

  returned<void> link(const user &who, std::int64_t vid)
  {
    return detail::done(vidcache_link(handle_.get(), who.get(), vid));
  }

  returned<void> link_shared(const user &who, std::int64_t vid)
  {
    return detail::done(vidcache_link_shared(handle_.get(), who.get(), vid));
  }

  /** `change` is the token of the change that the answer finishes, `asked_at` when the call was begun, since 1970. */
  returned<recorded> record(const user &who, std::string_view answer, std::optional<std::int64_t> change = std::nullopt,
                            std::optional<std::chrono::milliseconds> asked_at = std::nullopt)
  {
    vidcache_recorded made;
    // 0 is "none" in C; here it is a number that is no token.
    const std::int64_t token = change ? (*change == 0 ? -1 : *change) : 0;
    const char *const data = detail::data(answer);
    const vidcache_result code =
        asked_at ? vidcache_record_read(handle_.get(), who.get(), data, answer.size(), token, asked_at->count(), &made)
                 : vidcache_record(handle_.get(), who.get(), data, answer.size(), token, &made);
    return detail::answer(code, [&] {
      const std::optional<bool> created = made.created < 0 ? std::nullopt : std::optional<bool>(made.created == 1);
      return recorded{made.vid, created, made.canonical, made.email_observed};
    });
  }

  returned<observed> observe(std::string_view answer, std::optional<std::chrono::milliseconds> asked_at = std::nullopt)
  {
    vidcache_observed *raw = nullptr;
    const char *const data = detail::data(answer);
    vidcache_result code = asked_at ? vidcache_observe_read(handle_.get(), data, answer.size(), asked_at->count(), &raw)
                                    : vidcache_observe(handle_.get(), data, answer.size(), &raw);
    const std::unique_ptr<vidcache_observed, free_observed> found(raw);
    const std::int64_t *vids = nullptr;
    std::size_t count = 0;
    observed seen;
    if (code == VIDCACHE_OK) code = vidcache_observed_contacts(found.get(), &vids, &count);
    if (code == VIDCACHE_OK) seen.contacts.assign(vids, vids + count);
    if (code == VIDCACHE_OK) code = vidcache_observed_missing(found.get(), &vids, &count);
    if (code == VIDCACHE_OK) seen.missing.assign(vids, vids + count);
    return detail::answer(code, [&] { return seen; });
  }

  returned<vidcache_webhook_report> apply_webhook(std::string_view body)
  {
    vidcache_webhook_report report;
    const vidcache_result code = vidcache_apply_webhook(handle_.get(), detail::data(body), body.size(), &report);
    return detail::answer(code, [&] { return report; });
  }

  returned<std::int64_t> begin_email_change(const user &who)
  {
    std::int64_t token;
    return detail::answer(vidcache_begin_email_change(handle_.get(), who.get(), &token), [&] { return token; });
  }

  returned<void> abandon_email_change(const user &who, std::int64_t token)
  {
    return detail::done(vidcache_abandon_email_change(handle_.get(), who.get(), token));
  }

  returned<bool> is_change_outstanding(const user &who, std::int64_t token) const
  {
    bool outstanding;
    const vidcache_result code = vidcache_is_change_outstanding(handle_.get(), who.get(), token, &outstanding);
    return detail::answer(code, [&] { return outstanding; });
  }

  /** Since when the change has counted for all users of the contact, by the app's clock; none once it has ended. */
  returned<std::optional<std::chrono::milliseconds>> change_outstanding_since(const user &who, std::int64_t token) const
  {
    std::int64_t begun_at;
    bool outstanding;
    const vidcache_result code =
        vidcache_change_outstanding_since(handle_.get(), who.get(), token, &begun_at, &outstanding);
    return detail::answer(code, [&] {
      return outstanding ? std::optional<std::chrono::milliseconds>(begun_at) : std::nullopt;
    });
  }

  /** How long after the beginning of a change HubSpot may be told of it: see vidcache_quiet_period. */
  returned<std::chrono::milliseconds> quiet_period() const
  {
    std::uint64_t milliseconds;
    const vidcache_result code = vidcache_quiet_period(handle_.get(), &milliseconds);
    return detail::answer(code, [&] { return std::chrono::milliseconds(milliseconds); });
  }

  /** Takes the user's lease, or renews the one that `held` is the token of; none: it is another job's, or has ended. */
  returned<std::optional<std::int64_t>> lease(const user &who, std::chrono::milliseconds time,
                                              std::int64_t held = 0) const
  {
    std::int64_t token;
    const std::uint64_t milliseconds = time.count() < 0 ? 0 : static_cast<std::uint64_t>(time.count());
    const vidcache_result code = vidcache_lease(handle_.get(), who.get(), milliseconds, held, &token);
    return detail::answer(code, [&] { return token == 0 ? std::nullopt : std::optional<std::int64_t>(token); });
  }

  /** Ends a lease; false: it had ended. */
  returned<bool> release(const user &who, std::int64_t held) const
  {
    bool released;
    return detail::answer(vidcache_release(handle_.get(), who.get(), held, &released), [&] { return released; });
  }

  returned<std::vector<user_to_read>> users_to_read(bool confirmed, std::chrono::milliseconds older_than,
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
    const vidcache_result code =
        vidcache_users_to_read(handle_.get(), confirmed, age, after ? &last : nullptr, raw.data(), raw.size(), &count);
    return detail::answer(code, [&] {
      std::vector<user_to_read> users;
      for (std::size_t at = 0; at < count; ++at) {
        users.push_back({std::string(raw[at].user, raw[at].user_len), raw[at].vid,
                         std::chrono::milliseconds(raw[at].read_at)});
      }
      return users;
    });
  }

  returned<std::vector<stale_change>> stale_changes(std::chrono::milliseconds older_than,
                                                    std::size_t limit = 1000) const
  {
    std::vector<vidcache_stale_change> raw(limit);
    std::size_t count = 0;
    const std::uint64_t age = older_than.count() < 0 ? 0 : static_cast<std::uint64_t>(older_than.count());
    return detail::answer(vidcache_stale_changes(handle_.get(), age, raw.data(), raw.size(), &count), [&] {
      std::vector<stale_change> changes;
      for (std::size_t at = 0; at < count; ++at) {
        changes.push_back({std::string(raw[at].user, raw[at].user_len), raw[at].token,
                           std::chrono::milliseconds(raw[at].begun_at)});
      }
      return changes;
    });
  }

  /** The conflicts that are not over, in the order of their users' keys, those after a user. */
  returned<std::vector<conflict>> conflicts(const user *after = nullptr, std::size_t limit = 100) const
  {
    std::vector<vidcache_conflict> raw(limit);
    std::size_t count = 0;
    const vidcache_result code =
        vidcache_conflicts(handle_.get(), after ? after->get() : nullptr, raw.data(), raw.size(), &count);
    return detail::answer(code, [&] {
      std::vector<conflict> found;
      for (std::size_t at = 0; at < count; ++at) {
        const vidcache_conflict &one = raw[at];
        found.push_back({std::string(one.user, one.user_len), optional(one.vid), optional(one.holder), one.why,
                         std::chrono::milliseconds(one.since)});
      }
      return found;
    });
  }

  /** Says that the user's conflict is over. */
  returned<void> end_conflict(const user &who) { return detail::done(vidcache_end_conflict(handle_.get(), who.get())); }

  /** Why no contact is to be made for a user who has none: one of VIDCACHE_REFUSAL_…; none: there is no reason. */
  returned<std::optional<std::int32_t>> refusal(const user &who) const
  {
    std::int32_t why;
    const vidcache_result code = vidcache_refusal(handle_.get(), who.get(), &why);
    return detail::answer(code, [&] { return why == 0 ? std::nullopt : std::optional<std::int32_t>(why); });
  }

  /** All users of a contact, by any of the ids that were merged into it. */
  returned<std::vector<std::string>> users_of(std::int64_t vid) const
  {
    std::vector<vidcache_key> raw(4);
    std::size_t count = 0;
    vidcache_result code;
    // Another may come between two calls.
    for (;;) {
      code = vidcache_users_of(handle_.get(), vid, raw.data(), raw.size(), &count);
      if (code != VIDCACHE_OK || count <= raw.size()) break;
      raw.resize(count);
    }
    return detail::answer(code, [&] {
      std::vector<std::string> users;
      for (std::size_t at = 0; at < count; ++at) users.emplace_back(raw[at].user, raw[at].user_len);
      return users;
    });
  }

  /** Doubts all that HubSpot has said, after an old copy of the file was put back. */
  returned<void> doubt_all() { return detail::done(vidcache_doubt_all(handle_.get())); }

  returned<vidcache_import_report> import(const std::vector<vidcache_import_row> &rows)
  {
    vidcache_import_report report;
    return detail::answer(vidcache_import(handle_.get(), rows.data(), rows.size(), &report), [&] { return report; });
  }

  returned<vidcache_stats> stats() const
  {
    vidcache_stats made{};
    made.size = sizeof made;
    return detail::answer(vidcache_get_stats(handle_.get(), &made), [&] { return made; });
  }

  /** Why a page says what it says, a sentence to a line, for people to read. */
  returned<std::string> explain(const user &who, std::optional<std::string_view> email) const
  {
    vidcache_decision made;
    vidcache_text *raw = nullptr;
    const vidcache_result code =
        vidcache_explain(handle_.get(), who.get(), detail::data(email), detail::size(email), &made, &raw);
    return detail::take(code, raw);
  }

  /** All that is held on the user, as JSON. */
  returned<std::string> export_user(const user &who) const
  {
    vidcache_text *raw = nullptr;
    const vidcache_result code = vidcache_export(handle_.get(), who.get(), &raw);
    return detail::take(code, raw);
  }

  /** @return whether anything was held */
  returned<bool> forget(const user &who)
  {
    bool known;
    return detail::answer(vidcache_forget(handle_.get(), who.get(), &known), [&] { return known; });
  }

  /** What is wrong with the file, one a line; empty when nothing is. */
  returned<std::string> verify() const
  {
    vidcache_text *raw = nullptr;
    std::size_t count = 0;
    const vidcache_result code = vidcache_verify(handle_.get(), &raw, &count);
    return detail::take(code, raw);
  }

  /** Copies the file, as of one commit, to a new file at `path`: see vidcache_backup. */
  returned<void> backup(std::string_view path) const
  {
    return detail::done(vidcache_backup(handle_.get(), detail::data(path), path.size()));
  }

  returned<std::int64_t> portal() const
  {
    std::int64_t number;
    return detail::answer(vidcache_portal(handle_.get(), &number), [&] { return number; });
  }

  /** Every later call fails with VIDCACHE_CLOSED. */
  returned<void> close() { return detail::done(vidcache_close(handle_.get())); }

  /** For functions of vidcache.h. */
  vidcache_handle *get() const noexcept { return handle_.get(); }

private:
  struct free_handle {
    void operator()(vidcache_handle *handle) const noexcept { vidcache_free(&handle); }
  };
  struct free_observed {
    void operator()(vidcache_observed *observed) const noexcept { vidcache_observed_free(&observed); }
  };

  explicit cache(vidcache_handle *opened) noexcept : handle_(opened) {}

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

  template <typename Write> static returned<std::string> fill(const Write &write)
  {
    std::string html(2560, '\0');
    std::size_t length = 0;
    vidcache_result code = write(html.data(), html.size(), &length);
    // The answer may have become longer in between, though not often.
    while (code == VIDCACHE_BUFFER_TOO_SMALL) {
      html.resize(length);
      code = write(html.data(), html.size(), &length);
    }
    html.resize(length);
    return detail::answer(code, [&] { return std::move(html); });
  }

  std::unique_ptr<vidcache_handle, free_handle> handle_;
};

/**
 * One thing that is being asked, learnt or done by a database, statement by statement: see vidcache_exchange. It may be
 * moved, not copied; one thread at a time uses it.
 */
class exchange {
public:
  /** What is next after what the last statement gave; without one, the first: see vidcache_exchange_answered. */
  returned<vidcache_step> answered(std::optional<std::string_view> answer = std::nullopt)
  {
    vidcache_step next = unset<vidcache_step>();
    const vidcache_result code =
        vidcache_exchange_answered(handle_.get(), detail::data(answer), detail::size(answer), &next);
    return detail::answer(code, [&] { return next; });
  }

  /** What is next after the last statement was refused; empty: no server answered. See vidcache_exchange_refused. */
  returned<vidcache_step> refused(std::string_view sqlstate)
  {
    vidcache_step next = unset<vidcache_step>();
    const vidcache_result code =
        vidcache_exchange_refused(handle_.get(), detail::data(sqlstate), sqlstate.size(), &next);
    return detail::answer(code, [&] { return next; });
  }

  /** What came of it, which stays until the exchange is destroyed: see vidcache_exchange_outcome. */
  returned<vidcache_outcome> outcome() const
  {
    vidcache_outcome told = unset<vidcache_outcome>();
    const vidcache_result code = vidcache_exchange_outcome(handle_.get(), &told);
    return detail::answer(code, [&] { return told; });
  }

private:
  friend class database;
  struct free_exchange {
    void operator()(vidcache_exchange *handle) const noexcept { vidcache_exchange_free(&handle); }
  };

  explicit exchange(vidcache_exchange *begun) noexcept : handle_(begun) {}

  template <typename Raw> static Raw unset() noexcept
  {
    Raw raw{};
    raw.size = sizeof raw;
    return raw;
  }

  std::unique_ptr<vidcache_exchange, free_exchange> handle_;
};

/**
 * The tables of one portal in the app's own PostgreSQL: see vidcache_database. It may be moved, not copied; threads may
 * share it by reference.
 */
class database {
public:
  /** The tables in a schema of the app's database: see vidcache_database_open. */
  static returned<database> open(std::int64_t portal, const options &chosen, std::string_view schema = "public",
                                 std::chrono::milliseconds max_age = std::chrono::milliseconds(0))
  {
    vidcache_options raw{};
    std::vector<vidcache_secret> old_secrets;
    vidcache_result code = detail::choose(chosen, old_secrets, raw);
    vidcache_database *opened = nullptr;
    const auto kept = static_cast<std::uint64_t>(max_age.count());
    if (code == VIDCACHE_OK) {
      code = vidcache_database_open(detail::data(schema), schema.size(), portal, &raw, kept, &opened);
    }
    return detail::answer(code, [&] { return database(opened); });
  }

  /** The statements of the app's migration: see vidcache_database_migration. */
  static returned<std::string> migration(std::string_view schema = "public")
  {
    vidcache_text *statements = nullptr;
    const vidcache_result code = vidcache_database_migration(detail::data(schema), schema.size(), &statements);
    return detail::take(code, statements);
  }

  /** Begins one thing to be asked, learnt or done; `size` is set here. See vidcache_database_begin. */
  returned<exchange> begin(vidcache_work work) const
  {
    work.size = sizeof work;
    vidcache_exchange *begun = nullptr;
    const vidcache_result code = vidcache_database_begin(handle_.get(), &work, &begun);
    return detail::answer(code, [&] { return exchange(begun); });
  }

private:
  struct free_database {
    void operator()(vidcache_database *handle) const noexcept { vidcache_database_free(&handle); }
  };

  explicit database(vidcache_database *opened) noexcept : handle_(opened) {}

  std::unique_ptr<vidcache_database, free_database> handle_;
};

} // inline namespace

} // namespace vidcache

#endif
