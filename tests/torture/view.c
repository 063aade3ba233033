#include "tests/torture/view.h"

#include <errno.h>
#include <string.h>

#include "common/client/smclient.h"
#include "tests/torture/actor.h"

void
view_init(struct views *v, struct sm *sm)
{
	memset(v, 0, sizeof *v);
	v->sm = sm;
	pthread_mutex_init(&v->lock, NULL);
}

uint8_t *
view_segment(const struct view_user *u)
{
	const struct view *v = atomic_load(&u->view);

	return v == NULL ? NULL : atomic_load(&v->address);
}

/* With the lock of the views: the one at that address, else own, else a new one; or NULL. */
static struct view *
find(struct views *v, const uint8_t *address, struct view *own)
{
	struct view *free = own;
	unsigned i;

	for (i = 0; i < VIEWS_MOST; i++) {
		struct view *each = &v->table[i];

		if (each->users > 0 && atomic_load(&each->address) == address)
			return each;
		if (free == NULL && each->users == 0)
			free = each;
	}
	return free;
}

/* With the lock of the views. */
static void
use(struct views *v, struct view_user *u, uint8_t *address)
{
	struct view *own = atomic_load(&u->view), *new = find(v, address, own);

	if (own != NULL)
		own->users--;
	if (new != NULL) {
		new->users++;
		atomic_store(&new->address, address);
	}
	atomic_store(&u->view, new);
}

bool
view_get(struct actor *a, struct views *v, struct view_user *u)
{
	uint8_t *address;
	int error;

	pthread_mutex_lock(&v->lock);
	ledger_call(&a->seat, "sm_map");
	address = sm_map(u->file, NULL, u->size);
	error = address == NULL ? errno : 0;
	ledger_return(&a->seat);
	if (error == 0)
		use(v, u, address);
	pthread_mutex_unlock(&v->lock);
	return error != 0 && actor_judge(a, ACTOR_MAP, error, u->is_inherited);
}

/* With the lock of the views. Returns 0, or an errno: after EBUSY the mapping is still there. */
static int
unmap(struct actor *a, struct views *v, struct view *view)
{
	uint8_t *address = atomic_exchange(&view->address, NULL);
	int error;

	if (address == NULL)
		return 0;
	ledger_call(&a->seat, "sm_unmap");
	error = sm_unmap(v->sm, address) == 0 ? 0 : errno;
	ledger_return(&a->seat);
	if (error == EBUSY)
		atomic_store(&view->address, address);
	return error;
}

bool
view_get_again(struct actor *a, struct views *v, struct view_user *u)
{
	struct view *view = atomic_load(&u->view);
	int error;

	if (view == NULL)
		return false;
	pthread_mutex_lock(&v->lock);
	error = unmap(a, v, view);
	pthread_mutex_unlock(&v->lock);
	if (error != 0)
		return actor_judge(a, ACTOR_UNMAP, error, u->is_inherited);
	return view_get(a, v, u);
}

void
view_put(struct actor *a, struct views *v, struct view_user *u)
{
	struct view *view = atomic_exchange(&u->view, NULL);
	int error = 0;

	if (view == NULL)
		return;
	pthread_mutex_lock(&v->lock);
	if (--view->users == 0)
		error = unmap(a, v, view);
	pthread_mutex_unlock(&v->lock);
	if (error != 0)
		(void)actor_judge(a, ACTOR_UNMAP, error, u->is_inherited);
}
