/*
 * SHA-256. A file of its own, so that programs which hash nothing do not link libcrypto.
 */
#include "base/text.h"

#include <openssl/evp.h>

void sal_sha256(const void *data, apr_size_t size, unsigned char out[32])
{
    EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL);
}
