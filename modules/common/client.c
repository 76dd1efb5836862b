/*
 * Which client a request comes from, for limits.
 */
#include "common/web.h"

#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>

apr_size_t web_client_key(const request_rec *r, unsigned char key[WEB_CLIENT_KEY])
{
    const apr_sockaddr_t *sa = r->useragent_addr;
    const unsigned char *bytes = sa ? sa->ipaddr_ptr : NULL;

    if (bytes && sa->family == AF_INET) {
        memcpy(key, bytes, 4);
        return 4;
    }
    if (bytes && sa->family == AF_INET6) {
        const struct in6_addr *in6 = sa->ipaddr_ptr;
        int mapped = IN6_IS_ADDR_V4MAPPED(in6);

        memcpy(key, mapped ? bytes + 12 : bytes, mapped ? 4 : 8);
        return mapped ? 4 : 8;
    }
    *key = 0;
    return 1;
}
