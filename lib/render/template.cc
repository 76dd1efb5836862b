/*
 * Mustache for the C library: the project's one C++ file. No exception leaves it, and it knows
 * nothing of crashes or pages.
 *
 * Partials are put in place as text before a template is parsed. So a missing partial or a circle
 * is found at load and not on some reader's page, nothing is parsed while rendering, and what
 * kainjow's render() then does is read-only: it writes to its object only to report an error of a
 * partial or a lambda, and a loaded template has neither. That is why threads may share one.
 *
 * Escaping is kainjow's: & < > " ' become entities. Empty text and null count as false, so that
 * {{#x}} asks "is there something to show".
 */
#include "render/template.h"

#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <string>

#include <apr_file_info.h>
#include <apr_strings.h>
#include <kainjow/mustache.hpp>

#include "base/file.h"

namespace
{

using kainjow::mustache::data;
using kainjow::mustache::mustache;

constexpr int max_depth = 16; /* of partials in partials */
constexpr int max_data_depth = 64;
constexpr apr_size_t max_file = 1024 * 1024;
const std::string suffix = ".mustache";

struct load_error {
    std::string text;
};

std::string trimmed(const std::string &s)
{
    const auto from = s.find_first_not_of(" \t");

    return from == std::string::npos ? "" : s.substr(from, s.find_last_not_of(" \t") - from + 1);
}

/* A name that the file system gives or a template asks for: letters, digits, '_' and '-'. */
bool plain_name(const std::string &s)
{
    return !s.empty() &&
           s.find_first_not_of("abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == std::string::npos;
}

std::string expanded(const std::map<std::string, std::string> &sources, const std::string &name,
                     int depth)
{
    const auto found = sources.find(name);
    std::string out;
    std::string::size_type at = 0;

    if (found == sources.end()) {
        throw load_error{ "there is no template " + name };
    }
    if (depth > max_depth) {
        throw load_error{ "partials go round in a circle at " + name };
    }
    const std::string &text = found->second;
    for (;;) {
        const auto open = text.find("{{>", at);

        out.append(text, at, open == std::string::npos ? open : open - at);
        if (open == std::string::npos) {
            return out;
        }
        const auto close = text.find("}}", open);
        if (close == std::string::npos) {
            throw load_error{ "unclosed tag in " + name };
        }
        std::string part =
            expanded(sources, trimmed(text.substr(open + 3, close - open - 3)), depth + 1);
        if (!part.empty() && part.back() == '\n') {
            part.pop_back();
        }
        out += part;
        at = close + 2;
    }
}

data converted(const json_t *v, int depth)
{
    if (depth > max_data_depth) {
        return data(false);
    }
    switch (json_typeof(v)) {
    case JSON_OBJECT: {
        data d{ data::type::object };
        const char *key;
        json_t *member;

        json_object_foreach(const_cast<json_t *>(v), key, member)
        {
            d[key] = converted(member, depth + 1);
        }
        return d;
    }
    case JSON_ARRAY: {
        data d{ data::type::list };
        /* push_back() copies whole subtrees; the list is ours and not const. */
        auto &list = const_cast<kainjow::mustache::list &>(d.list_value());
        size_t i;
        json_t *item;

        list.reserve(json_array_size(v));
        json_array_foreach(v, i, item)
        {
            list.push_back(converted(item, depth + 1));
        }
        return d;
    }
    case JSON_STRING:
        if (json_string_length(v) == 0) {
            return data(false);
        }
        return data(std::string(json_string_value(v), json_string_length(v)));
    case JSON_INTEGER:
        return data(std::to_string(json_integer_value(v)));
    case JSON_REAL: {
        char text[32];

        apr_snprintf(text, sizeof text, "%.6g", json_real_value(v));
        return data(std::string(text));
    }
    case JSON_TRUE:
        return data(true);
    default:
        return data(false);
    }
}

} /* namespace */

struct sal_templates_t {
    std::map<std::string, std::unique_ptr<mustache>> parsed;
};

namespace
{

apr_status_t forget(void *t)
{
    delete static_cast<sal_templates_t *>(t);
    return APR_SUCCESS;
}

apr_status_t read_all(std::map<std::string, std::string> &sources, const char *dir, apr_pool_t *p,
                      sal_error_t *err)
{
    apr_dir_t *d;
    apr_finfo_t info;
    apr_status_t rv = apr_dir_open(&d, dir, p);

    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "templates: cannot read %s", dir);
    }
    while (rv == APR_SUCCESS && apr_dir_read(&info, APR_FINFO_NAME, d) == APR_SUCCESS) {
        const std::string file = info.name;
        char *text;
        apr_size_t size;

        if (file.size() <= suffix.size() ||
            file.compare(file.size() - suffix.size(), suffix.size(), suffix) != 0) {
            continue;
        }
        const std::string name = file.substr(0, file.size() - suffix.size());
        if (!plain_name(name)) {
            continue;
        }
        rv = sal_file_read(&text, &size, apr_pstrcat(p, dir, "/", info.name, NULL), max_file, p,
                           err);
        if (rv == APR_SUCCESS) {
            sources[name] = std::string(text, size);
        }
    }
    apr_dir_close(d);
    return rv;
}

apr_status_t load(sal_templates_t &t, const char *dir, apr_pool_t *p, sal_error_t *err)
{
    std::map<std::string, std::string> sources;
    apr_status_t rv = read_all(sources, dir, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (const auto &source : sources) {
        auto m = std::make_unique<mustache>(expanded(sources, source.first, 0));

        if (!m->is_valid()) {
            return sal_fail(err, SAL_E_MALFORMED, "templates: %s/%s.mustache: %s", dir,
                            source.first.c_str(), m->error_message().c_str());
        }
        t.parsed[source.first] = std::move(m);
    }
    return APR_SUCCESS;
}

} /* namespace */

apr_status_t sal_templates_load(sal_templates_t **out, const char *dir, apr_pool_t *p,
                                sal_error_t *err)
{
    try {
        auto t = std::make_unique<sal_templates_t>();
        const apr_status_t rv = load(*t, dir, p, err);

        if (rv != APR_SUCCESS) {
            return rv;
        }
        *out = t.release();
        apr_pool_cleanup_register(p, *out, forget, apr_pool_cleanup_null);
        return APR_SUCCESS;
    } catch (const load_error &e) {
        return sal_fail(err, SAL_E_MALFORMED, "templates: %s: %s", dir, e.text.c_str());
    } catch (const std::exception &e) {
        return sal_fail(err, APR_EGENERAL, "templates: %s: %s", dir, e.what());
    } catch (...) {
        return sal_fail(err, APR_EGENERAL, "templates: %s: unknown exception", dir);
    }
}

apr_status_t sal_template_render(char **out, apr_size_t *size, const sal_templates_t *t,
                                 const char *name, const json_t *values, apr_pool_t *p,
                                 sal_error_t *err)
{
    try {
        const auto found = t->parsed.find(name);

        if (found == t->parsed.end()) {
            return sal_fail(err, APR_ENOENT, "templates: there is no template %s", name);
        }
        std::string text;
        const data root = values ? converted(values, 0) : data();

        text.reserve(64 * 1024);
        found->second->render(root, [&text](const std::string &s) { text += s; });
        *out = static_cast<char *>(apr_pmemdup(p, text.c_str(), text.size() + 1));
        *size = text.size();
        return APR_SUCCESS;
    } catch (const std::exception &e) {
        return sal_fail(err, APR_EGENERAL, "templates: %s: %s", name, e.what());
    } catch (...) {
        return sal_fail(err, APR_EGENERAL, "templates: %s: unknown exception", name);
    }
}
