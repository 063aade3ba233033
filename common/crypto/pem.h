/*
 * pem: the bytes of a certificate and the numbers of a public key, as hexadecimal digits, for
 * packagers, from PEM files.
 *
 * The files are public. They may contain anything: the result is digits, or an error.
 */
#ifndef COMMON_CRYPTO_PEM_H
#define COMMON_CRYPTO_PEM_H

/*
 * Sets *hex to the DER form of the first certificate of the file. The caller frees it. Returns 0;
 * errors of open(2); -EINVAL when there is no certificate; -ENOMEM; with a message.
 */
int pem_certificate(char **hex, const char *file);

/*
 * Sets *modulus and *exponent to the numbers of the RSA public key in the file, two digits a byte,
 * without leading zero bytes. The caller frees both. Returns 0 or an error as above.
 */
int pem_rsa_public(char **modulus, char **exponent, const char *file);

#endif
