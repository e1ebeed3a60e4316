/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Part of test_ck_layer.c: double-width primitives, and what CK builds on them. */
#ifdef CK_F_PR_CAS_PTR_2_VALUE

union pair {
	char as_char[16];
	int as_int[4];
	unsigned int as_uint[4];
	uint64_t as_64[2];
	uint32_t as_32[4];
	uint16_t as_16[8];
	uint8_t as_8[16];
	double as_double[2];
	void *as_ptr[2];
} CK_CC_ALIGN(16);

static const union pair pair_a = { .as_64 = { 0x0123456789abcdef, 0xfedcba9876543210 } };
static const union pair pair_b = { .as_64 = { 0x1111111122222222, 0x3333333344444444 } };

static bool same(const union pair *p, const union pair *q)
{
	return memcmp(p, q, sizeof(*p)) == 0;
}

/* Either half alone must make a swap fail. */
#define CHECK_PAIR(S, W) \
	do { \
		union pair at = pair_a, a = pair_a, b = pair_b, seen = pair_b, wrong; \
		for (unsigned half = 0; half < 2; half++) { \
			wrong = pair_a; \
			wrong.as_64[half] ^= (uint64_t)1 << 40; \
			CHECK(!ck_pr_cas_##S##_##W(at.as_##S, wrong.as_##S, b.as_##S)); \
			CHECK(same(&at, &pair_a)); \
			CHECK(!ck_pr_cas_##S##_##W##_value(at.as_##S, wrong.as_##S, b.as_##S, \
							   seen.as_##S)); \
			CHECK(same(&at, &pair_a) && same(&seen, &pair_a)); \
			seen = pair_b; \
		} \
		CHECK(ck_pr_cas_##S##_##W(at.as_##S, a.as_##S, b.as_##S)); \
		CHECK(same(&at, &pair_b)); \
		CHECK(ck_pr_cas_##S##_##W##_value(at.as_##S, b.as_##S, a.as_##S, seen.as_##S)); \
		CHECK(same(&at, &pair_a) && same(&seen, &pair_b)); \
	} while (0)

#define CHECK_PAIR_LOAD(load, S) \
	do { \
		union pair at = pair_a, seen = pair_b; \
		load(at.as_##S, seen.as_##S); \
		CHECK(same(&seen, &pair_a) && same(&at, &pair_a)); \
		memset(&at, 0, sizeof(at)); \
		load(at.as_##S, seen.as_##S); \
		CHECK(same(&seen, &at)); \
	} while (0)

static void values_pair(void)
{
	CHECK_PAIR(64, 2);
	CHECK_PAIR(ptr, 2);
	CHECK_PAIR(double, 2);
	CHECK_PAIR(char, 16);
	CHECK_PAIR(int, 4);
	CHECK_PAIR(uint, 4);
	CHECK_PAIR(32, 4);
	CHECK_PAIR(16, 8);
	CHECK_PAIR(8, 16);
	CHECK_PAIR_LOAD(ck_pr_load_64_2, 64);
	CHECK_PAIR_LOAD(ck_pr_load_ptr_2, ptr);
	CHECK_PAIR_LOAD(ck_pr_md_load_char_16, char);
	CHECK_PAIR_LOAD(ck_pr_md_load_int_4, int);
	CHECK_PAIR_LOAD(ck_pr_md_load_uint_4, uint);
	CHECK_PAIR_LOAD(ck_pr_md_load_32_4, 32);
	CHECK_PAIR_LOAD(ck_pr_md_load_16_8, 16);
	CHECK_PAIR_LOAD(ck_pr_md_load_8_16, 8);
}

/*
 * Pair swaps against 8-byte updates of the same words, as CK's stack mixes them: a double-width
 * swap that is atomic only among its like loses some of the latter.
 */
static union pair pair_shared;
enum { PAIR_TURNS = 1000000 }; /* with 400,000 that fault was seen in 6 runs of 10 */

static void hammer_pair(unsigned me)
{
	for (unsigned i = 0; i < PAIR_TURNS; i++) {
		if (me == 0) {
			ck_pr_inc_64(&pair_shared.as_64[i & 1]);
			continue;
		}
		union pair old, next;
		ck_pr_load_64_2(pair_shared.as_64, old.as_64);
		do {
			next.as_64[0] = old.as_64[0] + 1;
			next.as_64[1] = old.as_64[1] + 1;
		} while (!ck_pr_cas_64_2_value(pair_shared.as_64, old.as_64, next.as_64,
					       old.as_64));
	}
}

static void atomic_pair(void)
{
	memset(&pair_shared, 0, sizeof(pair_shared));
	run_both(hammer_pair);
	CHECK(pair_shared.as_64[0] == PAIR_TURNS / 2 * 3);
	CHECK(pair_shared.as_64[1] == PAIR_TURNS / 2 * 3);
}

/*
 * Each thread pushes items of its own and pops anybody's. No item is pushed twice: a pop may read
 * the link of an item that another thread has just popped, which CK allows and C does not. `value`
 * and `taken` are plain; whoever pops an item owns it.
 */
struct item {
	ck_stack_entry_t link;
	ck_fifo_mpmc_entry_t node;
	unsigned value, taken;
};

static struct item items[THREADS][ROUNDS];
static unsigned taken_sum[THREADS];

static void take(struct item *item, unsigned me)
{
	item->taken++;
	taken_sum[me] += item->value;
}

static void check_taken(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < THREADS * ROUNDS; i++) {
		CHECK(items[i / ROUNDS][i % ROUNDS].taken == 1);
		sum += i + 1;
	}
	CHECK(taken_sum[0] + taken_sum[1] == sum);
}

static ck_stack_t stack CK_CC_ALIGN(16);
CK_STACK_CONTAINER(struct item, link, item_of_link)

static void stack_work(unsigned me)
{
	ck_stack_entry_t *e;

	for (unsigned i = 0; i < ROUNDS; i++) {
		items[me][i].value = me * ROUNDS + i + 1;
		ck_stack_push_mpmc(&stack, &items[me][i].link);
		if (i % 3 == 0)
			continue;
		if (i % 3 == 1 ? (e = ck_stack_pop_mpmc(&stack)) != NULL
			       : ck_stack_trypop_mpmc(&stack, &e))
			take(item_of_link(e), me);
	}
	while ((e = ck_stack_pop_mpmc(&stack)) != NULL)
		take(item_of_link(e), me);
}

static void stack_mpmc(void)
{
	memset(items, 0, sizeof(items));
	memset(taken_sum, 0, sizeof(taken_sum));
	ck_stack_init(&stack);
	run_both(stack_work);
	check_taken();
}

static ck_fifo_mpmc_t fifo;
static ck_fifo_mpmc_entry_t fifo_stub;

static void fifo_work(unsigned me)
{
	unsigned last[THREADS] = { 0 };
	ck_fifo_mpmc_entry_t *unused;
	struct item *item;

	for (unsigned i = 0; i < 2 * ROUNDS; i++) {
		if (i < ROUNDS) {
			items[me][i].value = me * ROUNDS + i + 1;
			ck_fifo_mpmc_enqueue(&fifo, &items[me][i].node, &items[me][i]);
		}
		while (i >= ROUNDS / 2 && ck_fifo_mpmc_dequeue(&fifo, &item, &unused)) {
			unsigned from = (item->value - 1) / ROUNDS;

			CHECK(item->value > last[from]);
			last[from] = item->value;
			take(item, me);
			if (i < ROUNDS)
				break;
		}
	}
}

static void fifo_mpmc(void)
{
	memset(items, 0, sizeof(items));
	memset(taken_sum, 0, sizeof(taken_sum));
	ck_fifo_mpmc_init(&fifo, &fifo_stub);
	run_both(fifo_work);
	check_taken();
}

#endif
