// OpenSSL 3, and its macros as functions: Swift cannot call macros. The logic stays in Swift.
#pragma once
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
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
