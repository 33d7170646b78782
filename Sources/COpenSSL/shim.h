// OpenSSL 3, and its macros as functions: Swift cannot call macros. The logic stays in Swift.
#pragma once
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

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
