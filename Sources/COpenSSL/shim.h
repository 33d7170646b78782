// OpenSSL 3, and its macros as functions: Swift cannot call macros. The logic stays in Swift.
#pragma once
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

static const uint64_t tls_no_compression = SSL_OP_NO_COMPRESSION;
static const uint64_t tls_no_tickets = SSL_OP_NO_TICKET;
static const uint64_t tls_no_renegotiation = SSL_OP_NO_RENEGOTIATION;

static const uint64_t tls_init_no_atexit = OPENSSL_INIT_NO_ATEXIT;

static const long tls_session_cache_no_internal = SSL_SESS_CACHE_NO_INTERNAL;

static inline void tls_context_set_mode(SSL_CTX *context, long mode) { SSL_CTX_set_mode(context, mode); }

static inline int tls_context_set_minimum_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version);
}

static inline void tls_context_set_session_cache(SSL_CTX *context, long mode) {
    SSL_CTX_set_session_cache_mode(context, mode);
}

static inline void tls_context_set_name_callback(
    SSL_CTX *context, int (*callback)(SSL *, int *, void *), void *argument) {
    SSL_CTX_set_tlsext_servername_callback(context, callback);
    SSL_CTX_set_tlsext_servername_arg(context, argument);
}

static inline int tls_set_server_name(SSL *session, const char *name) {
    return (int)SSL_set_tlsext_host_name(session, name);
}

static inline void tls_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }

static inline void tls_bio_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }

static inline int tls_general_names_count(void *names) { return sk_GENERAL_NAME_num((GENERAL_NAMES *)names); }

static inline const ASN1_STRING *tls_general_name(void *names, int number, int *kind) {
    return (const ASN1_STRING *)GENERAL_NAME_get0_value(sk_GENERAL_NAME_value((GENERAL_NAMES *)names, number), kind);
}

static inline void tls_general_names_free(void *names) { GENERAL_NAMES_free((GENERAL_NAMES *)names); }

static inline void tls_free(void *bytes) { OPENSSL_free(bytes); }

// The words for an error, also where it is the system's; NULL where there are none.
static inline const char *tls_error_words(unsigned long code) {
    return ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
}

// A certificate and its chain in PEM; 1: done.
static inline int tls_context_use_certificate_bytes(SSL_CTX *context, const void *bytes, size_t count) {
    BIO *source = BIO_new_mem_buf(bytes, (int)count);
    if (source == NULL) return 0;
    X509 *certificate = PEM_read_bio_X509_AUX(source, NULL, NULL, NULL);
    int done = certificate != NULL && SSL_CTX_use_certificate(context, certificate) == 1;
    X509_free(certificate);
    while (done && (certificate = PEM_read_bio_X509(source, NULL, NULL, NULL)) != NULL) {
        done = SSL_CTX_add0_chain_cert(context, certificate) == 1;
        if (!done) X509_free(certificate);
    }
    // The list ends where there is no further beginning of a certificate.
    if (done && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) ERR_clear_error();
    else if (done && ERR_peek_last_error() != 0) done = 0;
    BIO_free(source);
    return done;
}

static inline int tls_no_password(char *password, int size, int writes, void *argument) { return 0; }

// A key in PEM, not encrypted; 1: done.
static inline int tls_context_use_key_bytes(SSL_CTX *context, const void *bytes, size_t count) {
    BIO *source = BIO_new_mem_buf(bytes, (int)count);
    if (source == NULL) return 0;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(source, NULL, tls_no_password, NULL);
    int done = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    BIO_free(source);
    return done;
}

// Trusts the authorities in PEM, of which there must be one; a server names them to its clients. 1: done; `read` is the
// number of certificates before the end, or before one that cannot be used.
static inline int tls_context_trust_bytes(
    SSL_CTX *context, const void *bytes, size_t count, int is_server, int *read
) {
    *read = 0;
    BIO *source = count > INT_MAX ? NULL : BIO_new_mem_buf(bytes, (int)count);
    if (source == NULL) return 0;
    int done = 1;
    X509 *certificate;
    while (done && (certificate = PEM_read_bio_X509(source, NULL, NULL, NULL)) != NULL) {
        done = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1
            && (!is_server || SSL_CTX_add_client_CA(context, certificate) == 1);
        X509_free(certificate);
        *read += done;
    }
    if (*read > 0 && done && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) ERR_clear_error();
    else done = 0;
    BIO_free(source);
    return done;
}

// A cipher with authentication, as a provider of OpenSSL offers it (provider-cipher(7)), and its state.
//
// EVP makes the same calls, but asks the provider for the length of each key by its name, which takes a fifth of the time
// of a small record.
struct tls_cipher {
    void *provider;
    void *state;
    OSSL_FUNC_cipher_newctx_fn *create;
    OSSL_FUNC_cipher_freectx_fn *destroy;
    OSSL_FUNC_cipher_encrypt_init_fn *begin;
    OSSL_FUNC_cipher_update_fn *update;
    OSSL_FUNC_cipher_final_fn *finish;
    OSSL_FUNC_cipher_get_ctx_params_fn *get;
};

// Finds a cipher's functions, which stay usable for the life of the process; 1: found.
static inline int tls_cipher_find(struct tls_cipher *found, const char *name) {
    memset(found, 0, sizeof *found);
    // Not freed, so that its provider stays.
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    if (cipher == NULL) return 0;
    const OSSL_PROVIDER *provider = EVP_CIPHER_get0_provider(cipher);
    int no_cache = 0;
    const OSSL_ALGORITHM *all =
        provider == NULL ? NULL : OSSL_PROVIDER_query_operation(provider, OSSL_OP_CIPHER, &no_cache);
    for (const OSSL_ALGORITHM *one = all; one != NULL && one->algorithm_names != NULL; ++one) {
        size_t length = strcspn(one->algorithm_names, ":");
        if (length != strlen(name) || strncasecmp(one->algorithm_names, name, length) != 0) continue;
        for (const OSSL_DISPATCH *entry = one->implementation; entry->function_id != 0; ++entry) {
            switch (entry->function_id) {
            case OSSL_FUNC_CIPHER_NEWCTX: found->create = OSSL_FUNC_cipher_newctx(entry); break;
            case OSSL_FUNC_CIPHER_FREECTX: found->destroy = OSSL_FUNC_cipher_freectx(entry); break;
            case OSSL_FUNC_CIPHER_ENCRYPT_INIT: found->begin = OSSL_FUNC_cipher_encrypt_init(entry); break;
            case OSSL_FUNC_CIPHER_UPDATE: found->update = OSSL_FUNC_cipher_update(entry); break;
            case OSSL_FUNC_CIPHER_FINAL: found->finish = OSSL_FUNC_cipher_final(entry); break;
            case OSSL_FUNC_CIPHER_GET_CTX_PARAMS: found->get = OSSL_FUNC_cipher_get_ctx_params(entry); break;
            }
        }
        break;
    }
    if (provider != NULL) found->provider = OSSL_PROVIDER_get0_provider_ctx(provider);
    if (all != NULL) OSSL_PROVIDER_unquery_operation(provider, OSSL_OP_CIPHER, all);
    int done = found->create != NULL && found->destroy != NULL && found->begin != NULL && found->update != NULL
        && found->finish != NULL && found->get != NULL;
    if (!done) EVP_CIPHER_free(cipher);
    return done;
}

// Makes the state of a cipher that was found; 1: done.
static inline int tls_cipher_open(struct tls_cipher *cipher) {
    cipher->state = cipher->create(cipher->provider);
    return cipher->state != NULL;
}

static inline void tls_cipher_close(struct tls_cipher *cipher) {
    if (cipher->state != NULL) cipher->destroy(cipher->state);
    cipher->state = NULL;
}

// Encrypts a record in place: a header, which is only authenticated, `count` bytes of content, and room for a tag. 1: done.
static inline int tls_cipher_seal(
    const struct tls_cipher *cipher, const void *key, size_t key_length, const void *nonce, size_t nonce_length,
    unsigned char *record, size_t header, size_t count, size_t tag_length
) {
    unsigned char *content = record + header, *tag = content + count;
    OSSL_PARAM wanted[] = {
        { OSSL_CIPHER_PARAM_AEAD_TAG, OSSL_PARAM_OCTET_STRING, tag, tag_length, OSSL_PARAM_UNMODIFIED }, OSSL_PARAM_END
    };
    size_t done = 0;
    return cipher->begin(cipher->state, key, key_length, nonce, nonce_length, NULL) == 1
        && cipher->update(cipher->state, NULL, &done, header, record, header) == 1
        && cipher->update(cipher->state, content, &done, count, content, count) == 1 && done == count
        && cipher->finish(cipher->state, tag, &done, tag_length) == 1
        && cipher->get(cipher->state, wanted) == 1;
}

// Fetches the line of the processor's cache that an address is in, in advance.
static inline void tls_prefetch(const void *address) { __builtin_prefetch(address, 1); }
