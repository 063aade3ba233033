#include "common/crypto/sslerror.h"

#include <openssl/err.h>
#include <stddef.h>

#include "common/base/error.h"

const char *
sslerror_reason(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = ERR_reason_error_string(e);

	if (text != NULL)
		return text;
	return ERR_SYSTEM_ERROR(e) ? error_string(-(int)ERR_GET_REASON(e)) :
				     "OpenSSL gives no reason";
}
