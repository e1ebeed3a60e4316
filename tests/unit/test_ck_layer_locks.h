/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Part of test_ck_layer.c: CK's locks around plain data. The data is checked for having been seen
 * whole and for no lost update, and ThreadSanitizer checks that each lock orders it.
 */

/* Plain, and on two lines, so that a half-done update is visible for a while. */
static struct {
	unsigned long first CK_CC_CACHELINE;
	unsigned long second CK_CC_CACHELINE;
} data;

static void data_write(void)
{
	data.first++;
	data.second++;
}

static void data_read(void)
{
	CHECK(data.first == data.second);
}

struct lock_case {
	const char *name;
	void (*init)(void);
	void (*lock)(unsigned me);
	void (*unlock)(unsigned me);
	void (*read_lock)(unsigned me);	  /* NULL: exclusive only */
	void (*read_unlock)(unsigned me);
	bool one_writer;
};

#define METHOD(name, statement) \
	static void name(unsigned me) \
	{ \
		(void)me; \
		statement; \
	}

#define INIT(name, statement) \
	static void name(void) \
	{ \
		statement; \
	}

static ck_spinlock_ticket_t ticket;
INIT(ticket_init, ck_spinlock_ticket_init(&ticket))
METHOD(ticket_lock, ck_spinlock_ticket_lock(&ticket))
METHOD(ticket_lock_pb, ck_spinlock_ticket_lock_pb(&ticket, 3))
METHOD(ticket_unlock, ck_spinlock_ticket_unlock(&ticket))
#ifdef CK_F_SPINLOCK_TICKET_TRYLOCK
METHOD(ticket_try, while (!ck_spinlock_ticket_trylock(&ticket)) ck_pr_stall())
#endif

static ck_spinlock_mcs_t mcs;
static ck_spinlock_mcs_context_t mcs_node[THREADS] CK_CC_CACHELINE;
INIT(mcs_init, ck_spinlock_mcs_init(&mcs))
METHOD(mcs_lock, ck_spinlock_mcs_lock(&mcs, &mcs_node[me]))
METHOD(mcs_try, while (!ck_spinlock_mcs_trylock(&mcs, &mcs_node[me])) ck_pr_stall())
METHOD(mcs_unlock, ck_spinlock_mcs_unlock(&mcs, &mcs_node[me]))

static ck_spinlock_clh_t *clh, clh_node[THREADS + 1], *clh_mine[THREADS];

static void clh_init(void)
{
	ck_spinlock_clh_init(&clh, &clh_node[THREADS]);
	for (unsigned i = 0; i < THREADS; i++)
		clh_mine[i] = &clh_node[i];
}
METHOD(clh_lock, ck_spinlock_clh_lock(&clh, clh_mine[me]))
METHOD(clh_unlock, ck_spinlock_clh_unlock(&clh_mine[me]))

static ck_spinlock_fas_t fas;
INIT(fas_init, ck_spinlock_fas_init(&fas))
METHOD(fas_lock, ck_spinlock_fas_lock(&fas))
METHOD(fas_lock_eb, ck_spinlock_fas_lock_eb(&fas))
METHOD(fas_try, while (!ck_spinlock_fas_trylock(&fas)) ck_pr_stall())
METHOD(fas_unlock, ck_spinlock_fas_unlock(&fas))

static ck_spinlock_cas_t cas;
INIT(cas_init, ck_spinlock_cas_init(&cas))
METHOD(cas_lock, ck_spinlock_cas_lock(&cas))
METHOD(cas_unlock, ck_spinlock_cas_unlock(&cas))

static ck_spinlock_dec_t dec;
INIT(dec_init, ck_spinlock_dec_init(&dec))
METHOD(dec_lock, ck_spinlock_dec_lock(&dec))
METHOD(dec_unlock, ck_spinlock_dec_unlock(&dec))

static ck_spinlock_anderson_t anderson;
static ck_spinlock_anderson_thread_t anderson_slot[THREADS], *anderson_mine[THREADS];
static ck_spinlock_anderson_thread_t anderson3_slot[THREADS + 1];
INIT(anderson_init, ck_spinlock_anderson_init(&anderson, anderson_slot, THREADS))
INIT(anderson3_init, ck_spinlock_anderson_init(&anderson, anderson3_slot, THREADS + 1))
METHOD(anderson_lock, ck_spinlock_anderson_lock(&anderson, &anderson_mine[me]))
METHOD(anderson_unlock, ck_spinlock_anderson_unlock(&anderson, anderson_mine[me]))

/* One bit, taken by bts, given back by btr and btc in turn. */
#define BIT_LOCK(S, T) \
	static T bit_##S; \
	INIT(bit_##S##_init, bit_##S = 0) \
	METHOD(bit_##S##_lock, while (ck_pr_bts_##S(&bit_##S, 3)) ck_pr_stall()) \
	METHOD(bit_##S##_unlock, data.first & 1 ? ck_pr_btr_##S(&bit_##S, 3) \
						: ck_pr_btc_##S(&bit_##S, 3))
BIT_LOCK(int, int)
BIT_LOCK(uint, unsigned int)
BIT_LOCK(64, uint64_t)
BIT_LOCK(32, uint32_t)
BIT_LOCK(16, uint16_t)
BIT_LOCK(ptr, void *)

#ifdef CK_F_PR_CAS_PTR_2_VALUE
static union pair pair_free, pair_held = { .as_64 = { 1, 1 } }, pair_lock_word;
INIT(pair_init, pair_lock_word = pair_free)
METHOD(pair_lock, while (!ck_pr_cas_64_2(pair_lock_word.as_64, pair_free.as_64, pair_held.as_64))
		ck_pr_stall())
METHOD(pair_unlock, ck_pr_cas_64_2(pair_lock_word.as_64, pair_held.as_64, pair_free.as_64))
#endif

static ck_rwlock_t rwlock;
INIT(rwlock_init, ck_rwlock_init(&rwlock))
METHOD(rwlock_lock, ck_rwlock_write_lock(&rwlock))
METHOD(rwlock_unlock, ck_rwlock_write_unlock(&rwlock))
METHOD(rwlock_read, ck_rwlock_read_lock(&rwlock))
METHOD(rwlock_read_end, ck_rwlock_read_unlock(&rwlock))
METHOD(rwlock_try, while (!ck_rwlock_write_trylock(&rwlock)) ck_pr_stall())
METHOD(rwlock_read_try, while (!ck_rwlock_read_trylock(&rwlock)) ck_pr_stall())

static ck_pflock_t pflock;
INIT(pflock_init, ck_pflock_init(&pflock))
METHOD(pflock_lock, ck_pflock_write_lock(&pflock))
METHOD(pflock_unlock, ck_pflock_write_unlock(&pflock))
METHOD(pflock_read, ck_pflock_read_lock(&pflock))
METHOD(pflock_read_end, ck_pflock_read_unlock(&pflock))

static ck_tflock_ticket_t tflock;
INIT(tflock_init, ck_tflock_ticket_init(&tflock))
METHOD(tflock_lock, ck_tflock_ticket_write_lock(&tflock))
METHOD(tflock_unlock, ck_tflock_ticket_write_unlock(&tflock))
METHOD(tflock_read, ck_tflock_ticket_read_lock(&tflock))
METHOD(tflock_read_end, ck_tflock_ticket_read_unlock(&tflock))

static ck_swlock_t swlock;
INIT(swlock_init, ck_swlock_init(&swlock))
METHOD(swlock_lock, ck_swlock_write_lock(&swlock))
METHOD(swlock_unlock, ck_swlock_write_unlock(&swlock))
METHOD(swlock_latch, ck_swlock_write_latch(&swlock))
METHOD(swlock_unlatch, ck_swlock_write_unlatch(&swlock))
METHOD(swlock_read, ck_swlock_read_lock(&swlock))
METHOD(swlock_read_end, ck_swlock_read_unlock(&swlock))

static ck_brlock_t brlock;
static ck_brlock_reader_t brlock_reader[THREADS] CK_CC_CACHELINE;

static void brlock_init(void)
{
	ck_brlock_init(&brlock);
	for (unsigned i = 0; i < THREADS; i++)
		ck_brlock_read_register(&brlock, &brlock_reader[i]);
}
METHOD(brlock_lock, ck_brlock_write_lock(&brlock))
METHOD(brlock_unlock, ck_brlock_write_unlock(&brlock))
METHOD(brlock_read, ck_brlock_read_lock(&brlock, &brlock_reader[me]))
METHOD(brlock_read_end, ck_brlock_read_unlock(&brlock_reader[me]))

static void part_lock(void *lock, void *context)
{
	(void)context;
	ck_spinlock_ticket_lock(lock);
}

static void part_unlock(void *lock, void *context)
{
	(void)context;
	ck_spinlock_ticket_unlock(lock);
}

static bool part_locked(void *lock, void *context)
{
	(void)context;
	return ck_spinlock_ticket_locked(lock);
}

CK_COHORT_PROTOTYPE(ticket, part_lock, part_unlock, part_locked, part_lock, part_unlock,
		    part_locked)
CK_RWCOHORT_WP_PROTOTYPE(ticket)
CK_RWCOHORT_RP_PROTOTYPE(ticket)
CK_RWCOHORT_NEUTRAL_PROTOTYPE(ticket)

/* Thread i is in cohort i for "split", both are in cohort 0 for "same". */
static ck_spinlock_ticket_t cohort_global, cohort_local[THREADS];
static CK_COHORT_INSTANCE(ticket) cohort[THREADS];
static CK_RWCOHORT_WP_INSTANCE(ticket) rwcohort_wp;
static CK_RWCOHORT_RP_INSTANCE(ticket) rwcohort_rp;
static CK_RWCOHORT_NEUTRAL_INSTANCE(ticket) rwcohort_neutral;

static void cohort_init(void)
{
	ck_spinlock_ticket_init(&cohort_global);
	for (unsigned i = 0; i < THREADS; i++) {
		ck_spinlock_ticket_init(&cohort_local[i]);
		CK_COHORT_INIT(ticket, &cohort[i], &cohort_global, &cohort_local[i], 10);
	}
	CK_RWCOHORT_WP_INIT(ticket, &rwcohort_wp, 10);
	CK_RWCOHORT_RP_INIT(ticket, &rwcohort_rp, 10);
	CK_RWCOHORT_NEUTRAL_INIT(ticket, &rwcohort_neutral);
}
METHOD(cohort_split_lock, CK_COHORT_LOCK(ticket, &cohort[me], NULL, NULL))
METHOD(cohort_split_unlock, CK_COHORT_UNLOCK(ticket, &cohort[me], NULL, NULL))
METHOD(cohort_same_lock, CK_COHORT_LOCK(ticket, &cohort[0], NULL, NULL))
METHOD(cohort_same_unlock, CK_COHORT_UNLOCK(ticket, &cohort[0], NULL, NULL))

#define RWCOHORT(kind, KIND) \
	METHOD(rwcohort_##kind##_lock, \
	       CK_RWCOHORT_##KIND##_WRITE_LOCK(ticket, &rwcohort_##kind, &cohort[me], NULL, NULL)) \
	METHOD(rwcohort_##kind##_unlock, \
	       CK_RWCOHORT_##KIND##_WRITE_UNLOCK(ticket, &rwcohort_##kind, &cohort[me], NULL, \
						 NULL)) \
	METHOD(rwcohort_##kind##_read, \
	       CK_RWCOHORT_##KIND##_READ_LOCK(ticket, &rwcohort_##kind, &cohort[me], NULL, NULL)) \
	METHOD(rwcohort_##kind##_read_end, \
	       CK_RWCOHORT_##KIND##_READ_UNLOCK(ticket, &rwcohort_##kind, &cohort[me], NULL, NULL))
RWCOHORT(wp, WP)
RWCOHORT(rp, RP)
RWCOHORT(neutral, NEUTRAL)

static const struct lock_case locks[] = {
	{ "ticket", ticket_init, ticket_lock, ticket_unlock, NULL, NULL, false },
	{ "ticket_pb", ticket_init, ticket_lock_pb, ticket_unlock, NULL, NULL, false },
#ifdef CK_F_SPINLOCK_TICKET_TRYLOCK
	{ "ticket_try", ticket_init, ticket_try, ticket_unlock, NULL, NULL, false },
#endif
	{ "mcs", mcs_init, mcs_lock, mcs_unlock, NULL, NULL, false },
	{ "mcs_try", mcs_init, mcs_try, mcs_unlock, NULL, NULL, false },
	{ "clh", clh_init, clh_lock, clh_unlock, NULL, NULL, false },
	{ "fas", fas_init, fas_lock, fas_unlock, NULL, NULL, false },
	{ "fas_eb", fas_init, fas_lock_eb, fas_unlock, NULL, NULL, false },
	{ "fas_try", fas_init, fas_try, fas_unlock, NULL, NULL, false },
	{ "cas", cas_init, cas_lock, cas_unlock, NULL, NULL, false },
	{ "dec", dec_init, dec_lock, dec_unlock, NULL, NULL, false },
	{ "anderson", anderson_init, anderson_lock, anderson_unlock, NULL, NULL, false },
	{ "anderson_of_3", anderson3_init, anderson_lock, anderson_unlock, NULL, NULL, false },
	{ "bit_int", bit_int_init, bit_int_lock, bit_int_unlock, NULL, NULL, false },
	{ "bit_uint", bit_uint_init, bit_uint_lock, bit_uint_unlock, NULL, NULL, false },
	{ "bit_64", bit_64_init, bit_64_lock, bit_64_unlock, NULL, NULL, false },
	{ "bit_32", bit_32_init, bit_32_lock, bit_32_unlock, NULL, NULL, false },
	{ "bit_16", bit_16_init, bit_16_lock, bit_16_unlock, NULL, NULL, false },
	{ "bit_ptr", bit_ptr_init, bit_ptr_lock, bit_ptr_unlock, NULL, NULL, false },
#ifdef CK_F_PR_CAS_PTR_2_VALUE
	{ "pair", pair_init, pair_lock, pair_unlock, NULL, NULL, false },
#endif
	{ "rwlock", rwlock_init, rwlock_lock, rwlock_unlock, rwlock_read, rwlock_read_end, false },
	{ "rwlock_try", rwlock_init, rwlock_try, rwlock_unlock, rwlock_read_try, rwlock_read_end,
	  false },
	{ "pflock", pflock_init, pflock_lock, pflock_unlock, pflock_read, pflock_read_end, false },
	{ "tflock", tflock_init, tflock_lock, tflock_unlock, tflock_read, tflock_read_end, false },
	{ "swlock", swlock_init, swlock_lock, swlock_unlock, swlock_read, swlock_read_end, true },
	{ "swlock_latch", swlock_init, swlock_latch, swlock_unlatch, swlock_read, swlock_read_end,
	  true },
	{ "brlock", brlock_init, brlock_lock, brlock_unlock, brlock_read, brlock_read_end, false },
	{ "cohort_split", cohort_init, cohort_split_lock, cohort_split_unlock, NULL, NULL, false },
	{ "cohort_same", cohort_init, cohort_same_lock, cohort_same_unlock, NULL, NULL, false },
	{ "rwcohort_wp", cohort_init, rwcohort_wp_lock, rwcohort_wp_unlock, rwcohort_wp_read,
	  rwcohort_wp_read_end, false },
	{ "rwcohort_rp", cohort_init, rwcohort_rp_lock, rwcohort_rp_unlock, rwcohort_rp_read,
	  rwcohort_rp_read_end, false },
	{ "rwcohort_neutral", cohort_init, rwcohort_neutral_lock, rwcohort_neutral_unlock,
	  rwcohort_neutral_read, rwcohort_neutral_read_end, false },
};

#define LOCKS (sizeof(locks) / sizeof(locks[0]))

static const struct lock_case *current;
static unsigned long written[THREADS];

/* On a busy machine a queue lock is handed over once a time slice: then fewer rounds will do. */
static bool enough(unsigned round, const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return round >= 100 && now.tv_sec - since->tv_sec >= 2;
}

static void lock_work(unsigned me)
{
	const struct lock_case *l = current;
	unsigned long writes = 0;
	struct timespec since;

	clock_gettime(CLOCK_MONOTONIC, &since);
	for (unsigned i = 0; i < ROUNDS && !(i % 64 == 0 && enough(i, &since)); i++) {
		if (!l->one_writer || me == 0) {
			l->lock(me);
			data_read();
			data_write();
			l->unlock(me);
			writes++;
		}
		if (l->read_lock != NULL && (!l->one_writer || me != 0)) {
			l->read_lock(me);
			data_read();
			l->read_unlock(me);
		}
	}
	written[me] = writes;
}

static void try_lock(const struct lock_case *l)
{
	data.first = data.second = 0;
	current = l;
	l->init();
	run_both(lock_work);
	CHECK(written[0] >= 100 && (l->one_writer || written[1] >= 100));
	CHECK(data.first == written[0] + written[1] && data.second == data.first);
}

/*
 * Both threads write while both are inside: only the lock could order that, and a reader's must
 * not. In turn, since ThreadSanitizer may miss two accesses at the very same time.
 */
static unsigned inside, first_done;

static void race_work(unsigned me)
{
	if (current != NULL)
		current->read_lock(me);
	meet(&inside);
	if (me == 0)
		data_write();
	meet(&first_done);
	if (me == 1)
		data_write();
	if (current != NULL)
		current->read_unlock(me);
}

static int race(const char *name)
{
	for (unsigned i = 0; name != NULL && i < LOCKS; i++)
		if (strcmp(name, locks[i].name) == 0 && locks[i].read_lock != NULL)
			current = &locks[i];
	if (name != NULL && current == NULL) {
		fprintf(stderr, "cleave: test_ck_layer: no lock with readers: %s\n", name);
		return 2;
	}
	if (current != NULL)
		current->init();
	run_both(race_work);
	printf("race %s: %s\n", name != NULL ? name : "without a lock",
	       SANITIZED ? "ended" : "no sanitizer in this build");
	return SANITIZED ? 0 : 77;
}

/* A sequence lock's readers run beside its writer, so the data has to be atomic; order is CK's. */
static ck_sequence_t sequence_lock;
static unsigned sequence_data[2];

static void sequence_work(unsigned me)
{
	for (unsigned i = 1; i <= 5 * ROUNDS; i++) {
		unsigned version, a, b;

		if (me == 0) {
			ck_sequence_write_begin(&sequence_lock);
			ck_pr_store_uint(&sequence_data[0], i);
			ck_pr_store_uint(&sequence_data[1], i);
			ck_sequence_write_end(&sequence_lock);
			continue;
		}
		do {
			version = ck_sequence_read_begin(&sequence_lock);
			a = ck_pr_load_uint(&sequence_data[0]);
			b = ck_pr_load_uint(&sequence_data[1]);
		} while (ck_sequence_read_retry(&sequence_lock, version));
		CHECK(a == b);
	}
}

static void sequence(void)
{
	ck_sequence_init(&sequence_lock);
	run_both(sequence_work);
	CHECK(sequence_data[0] == 5 * ROUNDS && sequence_data[1] == 5 * ROUNDS);
}

#if WITH_CK_LIBRARY
static ck_barrier_centralized_t centralized;
static ck_barrier_centralized_state_t centralized_state[THREADS];
static ck_barrier_mcs_t mcs_tree[THREADS];
static ck_barrier_mcs_state_t mcs_state[THREADS];
static unsigned phase[THREADS];

static void wait_centralized(unsigned me)
{
	ck_barrier_centralized(&centralized, &centralized_state[me], THREADS);
}

static void wait_mcs(unsigned me)
{
	ck_barrier_mcs(mcs_tree, &mcs_state[me]);
}

static void (*wait_barrier)(unsigned me);

/* `phase` is plain: written before one barrier, read by the other thread after it. */
static void barrier_work(unsigned me)
{
	for (unsigned i = 1; i <= ROUNDS / 5; i++) {
		phase[me] = i;
		wait_barrier(me);
		CHECK(phase[1 - me] == i);
		wait_barrier(me);
	}
}

static void barrier_centralized(void)
{
	wait_barrier = wait_centralized;
	run_both(barrier_work);
}

static void barrier_mcs(void)
{
	ck_barrier_mcs_init(mcs_tree, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		ck_barrier_mcs_subscribe(mcs_tree, &mcs_state[i]);
	wait_barrier = wait_mcs;
	run_both(barrier_work);
}

/*
 * Thread 0 replaces an object and defers the old one; thread 1 reads it in sections. The callback
 * spoils the object by plain writes, so a reader still inside is a race and a wrong sum.
 */
struct deferred {
	ck_epoch_entry_t entry;
	unsigned long first, second;
};

static ck_epoch_t epochs;
static ck_epoch_record_t epoch_record[THREADS];
static struct deferred deferred[ROUNDS + 1], *published;
static unsigned spoiled, reader_done;
CK_EPOCH_CONTAINER(struct deferred, entry, deferred_of_entry)

static void spoil(ck_epoch_entry_t *entry)
{
	struct deferred *d = deferred_of_entry(entry);

	d->first = d->second + 1;
	spoiled++;
}

static void epoch_work(unsigned me)
{
	ck_epoch_record_t *mine = &epoch_record[me];

	for (unsigned i = 1; i <= ROUNDS; i++) {
		if (me == 0) {
			struct deferred *old;

			deferred[i].first = deferred[i].second = i;
			old = ck_pr_fas_ptr(&published, &deferred[i]);
			ck_epoch_call(mine, &old->entry, spoil);
			if (i % 8 == 0)
				ck_epoch_poll(mine);
			continue;
		}
		ck_epoch_section_t section;
		ck_epoch_begin(mine, &section);
		struct deferred *d = ck_pr_load_ptr(&published);
		CHECK(d->first == d->second);
		ck_epoch_end(mine, &section);
	}
	if (me == 0)
		ck_epoch_barrier(mine);
	else
		ck_pr_store_uint(&reader_done, 1);
}

static void epoch(void)
{
	ck_epoch_init(&epochs);
	for (unsigned i = 0; i < THREADS; i++)
		ck_epoch_register(&epochs, &epoch_record[i], NULL);
	published = &deferred[0];
	run_both(epoch_work);
	CHECK(spoiled == ROUNDS && reader_done == 1);
}
#endif
