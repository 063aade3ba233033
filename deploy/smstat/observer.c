#include "deploy/smstat/observer.h"

#include <bsd/string.h>
#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/remote/dial.h"
#include "common/remote/mux.h"
#include "deploy/smstat/reloading.h"

void
observer_init(struct observer *o, const struct servers_one *server)
{
	*o = (struct observer){ .server = server };
}

/* Ends the connection, and forgets what came over it. */
static void
forget(struct observer *o)
{
	mux_destroy(o->mux);
	snapshot_destroy(o->now);
	snapshot_destroy(o->before);
	o->mux = NULL;
	o->now = o->before = NULL;
}

void
observer_fini(struct observer *o)
{
	forget(o);
}

/* A server that is there, as far as the system tells, and says nothing. */
static int
explain_silence(const struct servers_one *s)
{
	return error_message(-ETIMEDOUT,
	    "%s: timed out: the server does not accept the connection, or does not answer%s; see whether its process is stopped, or waits for a processor (ps, its log)",
	    s->target.addr->text,
	    s->target.addr->kind == ADDR_TCP ? ", or the network loses what is sent" : "");
}

/* Says why a server cannot be connected to, where the library's words do not help an operator. */
static int
explain_connecting(const struct servers_one *s, int error)
{
	const char *address = s->target.addr->text;

	if (error == -EPROTONOSUPPORT)
		return error_message(error,
		    "%s: the server speaks another version of the protocol than 2, and so has no INSPECT",
		    address);
	if (error == -ECONNRESET && s->target.tls == NULL)
		return error_message(error,
		    "%s: the server closed the connection; does it require TLS, and so -Z here, or CAFILE, CERTFILE and KEYFILE in the mount file, or are all sessions that it allows taken (-c)?",
		    address);
	if (error == -ETIMEDOUT)
		return explain_silence(s);
	if (error == -EACCES && s->target.tls != NULL && s->certificate == NULL)
		return error_message(error,
		    "%s: the server requires a certificate of its clients: CERTFILE and KEYFILE are missing in the mount file",
		    address);
	if (error == -EPROTO)
		return error_message(error, "%s; is it no memory server?", error_text());
	return error;
}

/* Says why the server shows nothing to this client. */
static int
explain_refusal(const struct servers_one *s)
{
	const char *address = s->target.addr->text;

	if (s->target.tls == NULL)
		return error_message(-ENOSYS,
		    "%s: the server speaks plaintext, where nobody is an operator: it needs -Z and --operators",
		    address);
	if (s->certificate == NULL)
		return error_message(-ENOSYS,
		    "%s: this client has no certificate, and so is no operator", address);
	return error_message(-ENOSYS,
	    "%s: this client is no operator: the server needs --operators with the common name of %s, and no -n (or it is too old for INSPECT)",
	    address, s->certificate);
}

static int
connect_to(struct observer *o, uint64_t until)
{
	const struct dial_target *t = &o->server->target;
	struct dial_terms terms;
	int error;

	if (o->mux != NULL)
		return 0;
	error = dial_connect(t, &o->mux, &terms, until);
	return error == 0 ? 0 : explain_connecting(o->server, error);
}

/* Puts the failure to ask into words. */
static int
explain_asking(struct observer *o, int error)
{
	const char *address = o->server->target.addr->text;

	if (error == -ENOSYS)
		return explain_refusal(o->server);
	if (error == -EMSGSIZE)
		return error_message(error, "%s: the server lists more than %d pages", address,
		    SNAPSHOT_PAGES_MOST);
	if (error == -EPROTO && *mux_reason(o->mux) == '\0')
		return error_message(error,
		    "%s: the server's answer to INSPECT violates the protocol", address);
	if (error == -ETIMEDOUT)
		return explain_silence(o->server);
	if (error == -ECONNRESET && dial_was_closed(o->mux))
		return error_message(error,
		    "%s: the server ended the connection (its log says why)", address);
	return dial_fail(&o->server->target, o->mux, error);
}

/* Asking has failed. Returns error. */
static int
fail(struct observer *o, int error)
{
	error_finish(error);
	(void)strlcpy(o->failure, error_text(), sizeof o->failure);
	forget(o);
	return error;
}

int
observer_reload(struct observer *o, char told[OBSERVER_FAILURE_SIZE], bool *is_done)
{
	uint64_t until = clock_now() + o->server->target.silence;
	int error;

	error_begin();
	error = connect_to(o, until);
	if (error != 0)
		return fail(o, error);
	error = reloading_ask(o->mux, until, told, OBSERVER_FAILURE_SIZE, is_done);
	if (error == -EINVAL)
		error_message(error, "%s: the server is too old to load its files on request",
		    o->server->target.addr->text);
	else if (error != 0)
		explain_asking(o, error);
	return error == 0 ? 0 : fail(o, error);
}

int
observer_look(struct observer *o)
{
	uint64_t until = clock_now() + o->server->target.silence;
	struct snapshot *s = NULL;
	int error;

	error_begin();
	error = connect_to(o, until);
	if (error == 0) {
		error = snapshot_take(&s, o->mux, until);
		if (error != 0)
			explain_asking(o, error);
	}
	if (error != 0)
		return fail(o, error);
	snapshot_destroy(o->before);
	o->before = o->now;
	o->now = s;
	o->failure[0] = '\0';
	return 0;
}

double
observer_seconds(const struct observer *o)
{
	if (o->now == NULL || o->before == NULL)
		return 0;
	return (double)(o->now->taken - o->before->taken) / (double)CLOCK_SEC;
}

/* By how much a counter has grown in a second. */
static double
rate(uint64_t before, uint64_t now, double seconds)
{
	return now > before ? (double)(now - before) / seconds : 0;
}

struct observer_rates
observer_rates(const struct observer *o, const struct inspect_file *f)
{
	double seconds = observer_seconds(o);
	const struct inspect_file *then;
	struct inspect_file fresh = { .key = 0 };

	if (seconds <= 0)
		return (struct observer_rates){ 0 };
	then = snapshot_file(o->before, f->key);
	if (then == NULL)
		then = &fresh;
	return (struct observer_rates){
		.sections = rate(then->stat.grants, f->stat.grants, seconds),
		.granted = rate(then->bytes_granted, f->bytes_granted, seconds),
		.released = rate(then->bytes_released, f->bytes_released, seconds),
	};
}
