/*
 * Mails of alerts: written here, sent by a command of the administrator's (`alert-mail-command`,
 * such as "/usr/sbin/sendmail -oi -t"). No shell is between: the words of the setting are the
 * program and its arguments, and the mail goes to its standard input. What is not ours to choose
 * (names, signatures) stands in encoded heads or in the body.
 */
#include "jobs/alerts_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <apr_base64.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

enum { MAILS = 50, ATTEMPTS = 5, SECONDS = 30, PAUSE = 300, WORDS = 32, SAID = 300 };

/* ---- the mail ---- */

/* A word of a head, whatever is in it: RFC 2047, in pieces below 75 characters. */
static const char *encoded(const char *text, apr_pool_t *p)
{
    const char *out = "", *at = text;

    while (*at) {
        apr_size_t n = 0;
        char *code;

        while (at[n] && n < 36) {
            n++;
        }
        while (n > 1 && at[n] && ((unsigned char)at[n] & 0xC0) == 0x80) {
            n--; /* never inside a character */
        }
        code = apr_pcalloc(p, (apr_size_t)apr_base64_encode_len((int)n) + 1);
        apr_base64_encode_binary(code, (const unsigned char *)at, (int)n);
        out = apr_pstrcat(p, out, *out ? "\n " : "", "=?UTF-8?B?", code, "?=", NULL);
        at += n;
    }
    return out;
}

static const char *date_line(apr_pool_t *p)
{
    char *out = apr_palloc(p, APR_RFC822_DATE_LEN);
    apr_time_exp_t t;

    apr_time_exp_gmt(&t, apr_time_now());
    apr_rfc822_date(out, apr_time_now());
    return apr_pstrcat(p, apr_pstrndup(p, out, 25), " +0000", NULL);
}

/* One line of what came from outside: no line of the mail begins in it. */
static const char *one_line(const char *text, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, text ? text : "");

    for (char *c = out; *c; c++) {
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? ' ' : *c;
    }
    return out;
}

static const char *text_of(const json_t *doc, const char *object, const char *key, apr_pool_t *p)
{
    return one_line(sal_json_str(object ? json_object_get(doc, object) : doc, key), p);
}

static const char *lines_of(const json_t *doc, apr_pool_t *p)
{
    const json_t *list = json_object_get(doc, "signatures");
    const char *out = "";
    json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        out = apr_psprintf(p, "%s%10" APR_INT64_T_FMT "  %s\n", out,
                           (apr_int64_t)json_integer_value(json_object_get(one, "count")),
                           text_of(one, NULL, "signature", p));
    }
    return out;
}

/* Quoted in base64, so that no length or letter of a line matters. */
static const char *wrapped(const char *text, apr_pool_t *p)
{
    char *code = apr_pcalloc(p, (apr_size_t)apr_base64_encode_len((int)strlen(text)) + 1);
    const char *out = "";

    apr_base64_encode_binary(code, (const unsigned char *)text, (int)strlen(text));
    for (const char *at = code; *at; at += strnlen(at, 76)) {
        out = apr_pstrcat(p, out, apr_pstrndup(p, at, 76), "\n", NULL);
    }
    return out;
}

static const char *mail_text(const sal_alerts_t *run, int64_t id, const char *to, const char *body,
                             apr_pool_t *p)
{
    const char *from = sal_conf_get(run->conf, "alert-mail-from", "salvage@localhost");
    const char *domain = strchr(from, '@') ? strchr(from, '@') + 1 : "localhost";
    json_t *doc = json_loads(body, 0, NULL);
    bool test = json_is_true(json_object_get(doc, "test"));
    const char *subject =
        apr_pstrcat(p, test ? "[Salvage test] " : "[Salvage] ", text_of(doc, "alert", "name", p),
                    ": ", text_of(doc, "alert", "condition", p), NULL);
    const char *text = apr_psprintf(
        p,
        "%s%s\n\nCondition: %s\nNow:       %.15g\n%s\nSearch:    %s\n           %s\nAlert:     "
        "%s\nTime:      %s\n\n%s%s",
        test ? "This is a test.\n\n" : "", text_of(doc, "alert", "name", p),
        text_of(doc, "alert", "condition", p), json_number_value(json_object_get(doc, "value")),
        json_object_get(doc, "usual")
            ? apr_psprintf(p, "Usual:     %.15g\n",
                           json_number_value(json_object_get(doc, "usual")))
            : "",
        text_of(doc, "search", "name", p), text_of(doc, "search", "link", p),
        text_of(doc, "alert", "link", p), text_of(doc, NULL, "time", p),
        json_array_size(json_object_get(doc, "signatures")) ? "Signatures:\n" : "",
        lines_of(doc, p));

    json_decref(doc);
    return apr_psprintf(p,
                        "From: Salvage <%s>\nTo: %s\nSubject: %s\nDate: %s\n"
                        "Message-ID: <alert-%" APR_INT64_T_FMT
                        "@%s>\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n"
                        "Content-Type: text/plain; charset=UTF-8\n"
                        "Content-Transfer-Encoding: base64\n\n%s",
                        from, to, encoded(subject, p), date_line(p), (apr_int64_t)id, domain,
                        wrapped(text, p));
}

/* ---- the command ---- */

typedef struct command_t {
    pid_t pid;
    int in, out;
    char said[SAID];
    apr_size_t n;
} command_t;

static bool start(command_t *c, char *const *argv)
{
    int in[2], out[2];

    *c = (command_t){ .in = -1, .out = -1 };
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0) {
        return false; /* a pair, so that writing to a dead one gives no signal */
    }
    if (pipe2(out, O_CLOEXEC) != 0) {
        close(in[0]);
        close(in[1]);
        return false;
    }
    c->pid = fork();
    if (c->pid == 0) {
        setpgid(0, 0);
        signal(SIGPIPE, SIG_DFL);
        alarm(0);
        if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0 || dup2(out[1], 2) < 0) {
            _exit(126);
        }
        execv(argv[0], argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    c->in = in[1];
    c->out = out[0];
    (void)fcntl(c->in, F_SETFL, O_NONBLOCK);
    (void)fcntl(c->out, F_SETFL, O_NONBLOCK);
    return c->pid > 0;
}

/* Takes what it says; false at its end. What is too much is dropped. */
static bool take(command_t *c)
{
    char some[512];
    ssize_t n = read(c->out, some, sizeof some);

    if (n > 0) {
        apr_size_t room = sizeof c->said - 1 - c->n;
        apr_size_t part = (apr_size_t)n < room ? (apr_size_t)n : room;

        memcpy(c->said + c->n, some, part);
        c->n += part;
    }
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void feed(command_t *c, const char **text)
{
    ssize_t n = send(c->in, *text, strlen(*text), MSG_NOSIGNAL);

    if (n > 0) {
        *text += n;
    }
    if (!**text || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close(c->in);
        c->in = -1;
    }
}

/* Until both ends are closed or the time is over: false then. */
static bool converse(command_t *c, const char *text, apr_time_t end)
{
    for (;;) {
        struct pollfd fds[2] = { { .fd = c->out, .events = POLLIN },
                                 { .fd = c->in, .events = POLLOUT } };
        apr_time_t left = end - apr_time_now();

        if (left <= 0) {
            return false;
        }
        if (poll(fds, c->in >= 0 ? 2 : 1, (int)apr_time_as_msec(left) + 1) < 0 && errno != EINTR) {
            return false;
        }
        if (c->in >= 0 && fds[1].revents) {
            feed(c, &text);
        }
        if (fds[0].revents && !take(c)) {
            return true;
        }
    }
}

static bool ended(pid_t pid, int *status, apr_time_t end)
{
    while (waitpid(pid, status, WNOHANG) == 0) {
        if (apr_time_now() >= end) {
            return false;
        }
        apr_sleep(apr_time_from_msec(5));
    }
    return true;
}

/* NULL: it took the mail. Else why not. */
static const char *run_command(char *const *argv, const char *text, apr_pool_t *p)
{
    apr_time_t end = apr_time_now() + apr_time_from_sec(SECONDS);
    command_t c;
    int status = 0;
    bool in_time;

    if (!start(&c, argv)) {
        return apr_psprintf(p, "%s cannot be started: %s", argv[0], strerror(errno));
    }
    in_time = converse(&c, text, end) && ended(c.pid, &status, end);
    if (!in_time) {
        (void)kill(-c.pid, SIGKILL);
        (void)waitpid(c.pid, &status, 0);
    }
    if (c.in >= 0) {
        close(c.in);
    }
    close(c.out);
    if (!in_time) {
        return apr_psprintf(p, "%s took longer than %d seconds", argv[0], SECONDS);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return NULL;
    }
    c.said[c.n] = '\0';
    return apr_psprintf(p, "%s ended with %s %d: %s", argv[0],
                        WIFEXITED(status) ? "status" : "signal",
                        WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                        one_line(sal_utf8_clean(c.said, c.n, p), p));
}

/* ---- what waits ---- */

const char *sal_alerts_mail_fault(const sal_conf_t *conf, const char *address, apr_pool_t *p)
{
    const char *command = sal_conf_get(conf, "alert-mail-command", "");
    char *domains = apr_pstrdup(p, sal_conf_get(conf, "alert-mail-domains", "")), *state, *one;

    if (*command != '/') {
        return "alert-mail-command is not set, or names no program by its whole path";
    }
    if (!sal_alert_address(address)) {
        return "this is no address for mail";
    }
    one = apr_strtok(domains, " \t,", &state);
    for (bool any = one != NULL; any && strcasecmp(one, strchr(address, '@') + 1) != 0;) {
        if (!(one = apr_strtok(NULL, " \t,", &state))) {
            return "alert-mail-domains does not name the domain of this address";
        }
    }
    return NULL;
}

static const char *send_one(const sal_alerts_t *run, int64_t id, const char *to, const char *body,
                            apr_pool_t *p)
{
    char *line = apr_pstrdup(p, sal_conf_get(run->conf, "alert-mail-command", "")), *state;
    char *argv[WORDS + 1];
    const char *fault;
    int n = 0;

    for (char *word = apr_strtok(line, " \t", &state); word && n < WORDS;
         word = apr_strtok(NULL, " \t", &state)) {
        argv[n++] = word;
    }
    argv[n] = NULL;
    if ((fault = sal_alerts_mail_fault(run->conf, to, p))) {
        return fault;
    }
    return run_command(argv, mail_text(run, id, to, body, p), p);
}

apr_status_t sal_alerts_mail(int *sent, const sal_alerts_t *run, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *each;

    apr_pool_create(&each, p);
    for (int i = 0; i < MAILS && rv == APR_SUCCESS; i++) {
        sal_rows_t *rows;
        const char *why;
        int64_t id;
        int attempts;

        apr_pool_clear(each);
        if (run->deadline && apr_time_now() >= run->deadline) {
            break;
        }
        rv = sal_db_run(db, &sal_s_alert_mail_claim, NULL, 0, &rows, each, err);
        if (rv != APR_SUCCESS || sal_rows_count(rows) == 0) {
            break;
        }
        id = sal_rows_int(rows, 0, 0);
        attempts = (int)sal_rows_int(rows, 0, 3);
        why = send_one(run, id, sal_rows_text(rows, 0, 1), sal_rows_text(rows, 0, 2), each);
        if (why) {
            sal_log(SAL_LOG_WARNING, 9302, "the mail of event %" APR_INT64_T_FMT " is not sent: %s",
                    (apr_int64_t)id, why);
        } else if (sent) {
            (*sent)++;
        }
        rv = sal_db_exec(db, &sal_s_alert_mail_settle, NULL, each, err, SAL_V_INT(id),
                         SAL_V_INT(!why                   ? 1
                                   : attempts >= ATTEMPTS ? 2
                                                          : 0),
                         SAL_V_TEXT(why), SAL_V_INT(PAUSE * attempts));
    }
    apr_pool_destroy(each);
    return rv;
}
