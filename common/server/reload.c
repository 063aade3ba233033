#include "common/server/reload.h"

#include <bsd/string.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/crypto/crlset.h"
#include "common/server/connection.h"
#include "common/server/credentials.h"
#include "common/server/crlfile.h"
#include "common/wire/inspect.h"

int
reload_log(struct reload *r)
{
	int error = log_reopen();

	if (error == 0)
		return 0;
	error_message(error, "cannot reopen the log %s: %s", r->log_file, strerror(-error));
	log_error("%s", error_text());
	return error;
}

/* Connections that exist keep the context that they have. */
static int
load_certificates(struct reload *r)
{
	int error;

	error_begin();
	error = credentials_load(r->credentials);
	r->conns->tls = r->credentials->tls;
	if (error != 0)
		log_error("%s", error_text());
	return error;
}

/* With the CAs of the certificates in use. */
static int
load_lists(struct reload *r)
{
	int error;

	error_begin();
	error = crlfile_load(r->crlfile, r->credentials->tls);
	if (error != 0)
		log_error("%s; the last revocation list stays in use", error_text());
	return error;
}

/* Looks for sessions of certificates that the lists in use have. Returns their number. */
static uint32_t
end_revoked(struct reload *r)
{
	uint32_t count = connection_end_revoked(r->conns);

	r->crlfile->has_changed = false;
	if (count > 0)
		log_info("revoked certificates: sessions that end: %lu", (unsigned long)count);
	return count;
}

/* One of the steps of a reload has failed or not. */
static void
note(struct reload *r, struct inspect_reload *out, enum inspect_failed step, int error)
{
	if (error == 0)
		return;
	if (out->failed == 0)
		(void)strlcpy(r->reason, error_text(), sizeof r->reason);
	out->failed |= (uint8_t)step;
}

/* Says what was loaded and opened again. */
static const char *
describe(const struct reload *r, uint8_t failed)
{
	const bool has_log = r->log_file != NULL && (failed & INSPECT_FAILED_LOG) == 0;

	if ((failed & INSPECT_FAILED_CERTIFICATES) != 0)
		return "the old certificates stay in use";
	if (r->credentials->tls != NULL)
		return has_log ? "certificates and log reloaded" : "certificates reloaded";
	if (r->log_file == NULL)
		return "nothing to reload: there is neither -Z nor a log file (-l)";
	return has_log ? "log reopened" : "the old log stays in use";
}

void
reload_all(struct reload *r, const char *who, struct inspect_reload *out)
{
	struct crlset_summary s;

	*out = (struct inspect_reload){ .failed = 0 };
	r->reason[0] = '\0';
	note(r, out, INSPECT_FAILED_LOG, reload_log(r));
	note(r, out, INSPECT_FAILED_CERTIFICATES, load_certificates(r));
	note(r, out, INSPECT_FAILED_LISTS, load_lists(r));
	if (crlfile_summarise(r->crlfile, &s)) {
		out->has_lists = 1;
		out->revoked = s.count;
		out->valid_s = s.seconds_left > 0 ? (uint64_t)s.seconds_left : 0;
		out->ending = end_revoked(r);
	}
	out->reason = (struct inspect_string){ r->reason, (uint16_t)strlen(r->reason) };
	log_info("%s: %s", who, describe(r, out->failed));
}

void
reload_changed(struct reload *r)
{
	if (r->credentials->has_changed) {
		log_info("the files of -Z have changed: %s",
		    load_certificates(r) == 0 ? "certificates reloaded" :
						"the old certificates stay in use");
		/* There may be another CA, which needs a list. */
		(void)load_lists(r);
	}
	if (r->crlfile->has_changed)
		(void)end_revoked(r);
}
