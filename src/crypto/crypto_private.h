/* crypto_private.h - what the files of this folder share. */
#ifndef CRYPTO_CRYPTO_PRIVATE_H
#define CRYPTO_CRYPTO_PRIVATE_H

#include "crypto/digest.h"

#include <openssl/evp.h>

const EVP_MD *digest_md(enum digest_kind kind); /* fetched once; NULL when that failed */

#endif
