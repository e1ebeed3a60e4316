// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * range_group and range_group_free from inside: when groups come and go, where an interval goes,
 * and that validate finds each kind of damage. The vtable is called directly, without a map.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "structures/range_subset.h"

extern const struct cleave_structure cleave_range_group;
extern const struct cleave_structure cleave_range_group_free;

static const struct cleave_structure *const forms[] = { &cleave_range_group,
							&cleave_range_group_free };

enum { FORMS = 2, SUBSETS = 2, MEMBERS = 200 };

struct bench {
	const struct cleave_structure *s;
	struct clv_groups *groups;
	struct cleave_interval *member;
	struct cleave_update update;
};

static struct bench set_up(const struct cleave_structure *s)
{
	static const int node_of_subset[SUBSETS] = { -1, -1 };
	const struct cleave_structure_config config = { .subsets = SUBSETS,
							.node = -1,
							.node_of_subset = node_of_subset };
	struct bench b = { .s = s };
	void *self;

	cr_assert_eq(s->create(&self, &config), 0);
	b.groups = self;
	b.member = cleave_alloc(MEMBERS * sizeof(*b.member), 64, -1);
	cr_assert_not_null(b.member);
	return b;
}

static void tear_down(struct bench *b)
{
	b->s->destroy(b->groups);
	cleave_free(b->member, MEMBERS * sizeof(*b->member));
}

static void insert(struct bench *b, unsigned i, struct cleave_interval *source, uint64_t start,
		   uint64_t last)
{
	b->s->insert(b->groups, &b->update, &b->member[i].entry, source ? &source->entry : NULL,
		     start, last);
}

static void remove_at(struct bench *b, unsigned i)
{
	b->s->remove(b->groups, &b->update, &b->member[i].entry);
}

static void assert_sound(struct bench *b)
{
	const char *reason = b->s->validate(b->groups);

	cr_assert_null(reason, "%s: %s", b->s->name, reason);
}

static void assert_reason(struct bench *b, const char *part)
{
	const char *reason = b->s->validate(b->groups);

	cr_assert_not_null(reason, "%s: not found: %s", b->s->name, part);
	cr_assert_not_null(strstr(reason, part), "%s: %s, not %s", b->s->name, reason, part);
}

/* Have the subset make a group of the range. */
static void make_group(struct bench *b, uint32_t subset, uint64_t start, uint64_t last)
{
	struct cleave_interval *last_one = &b->member[MEMBERS - 1];

	for (unsigned i = 0; i < CLV_SUBSET_PATIENCE; i++) {
		last_one->entry.subset = subset;
		insert(b, MEMBERS - 1, NULL, start, last);
		if (i + 1 == CLV_SUBSET_PATIENCE)
			cr_assert_neq(clv_place_of(last_one), CLV_PLACE_FRONT);
		remove_at(b, MEMBERS - 1);
	}
}

static unsigned number_of(const struct bench *b, uint64_t start, uint64_t last)
{
	int n = clv_index_find(&b->groups->index, clv_index_hash(start, last), start, last);

	cr_assert_geq(n, 0);
	return (unsigned)n;
}

Test(range_group, a_range_that_is_seen_often_gets_a_group)
{
	for (unsigned f = 0; f < FORMS; f++) {
		struct bench b = set_up(forms[f]);

		for (unsigned i = 0; i < 10; i++) {
			insert(&b, i, NULL, 3, 9);
			cr_assert_eq(clv_place_of(&b.member[i]) == CLV_PLACE_FRONT,
				     i + 1 < CLV_SUBSET_PATIENCE);
			assert_sound(&b);
		}
		/* Another subset joins at once. */
		b.member[10].entry.subset = 1;
		insert(&b, 10, NULL, 3, 9);
		cr_assert_eq(clv_place_of(&b.member[10]), clv_place_of(&b.member[9]));
		/* Ranges that differ do not. */
		for (unsigned i = 11; i < 100; i++) {
			insert(&b, i, NULL, i * 7, i * 7 + i % 5);
			cr_assert_eq(clv_place_of(&b.member[i]), CLV_PLACE_FRONT);
		}
		assert_sound(&b);
		for (unsigned i = 0; i < 100; i++)
			remove_at(&b, i);
		cr_assert(b.s->empty(b.groups));
		assert_sound(&b);
		tear_down(&b);
	}
}

Test(range_group, a_number_is_used_again_when_no_subset_has_joined_it)
{
	for (unsigned f = 0; f < FORMS; f++) {
		struct bench b = set_up(forms[f]);

		/* One that is in use in each subset, and many that come and go. */
		make_group(&b, 0, 1, 2);
		make_group(&b, 1, 5, 6);
		insert(&b, 0, NULL, 1, 2);
		b.member[1].entry.subset = 1;
		insert(&b, 1, NULL, 5, 6);
		for (uint64_t start = 10; start < 10 + 5 * CLV_INDEX_RANGES; start++) {
			make_group(&b, 0, start, start + 9);
			assert_sound(&b);
			cr_assert_eq(number_of(&b, 1, 2) + 1, clv_place_of(&b.member[0]));
			cr_assert_eq(number_of(&b, 5, 6) + 1, clv_place_of(&b.member[1]));
		}
		remove_at(&b, 0);
		remove_at(&b, 1);
		assert_sound(&b);
		tear_down(&b);
	}
}

static int count(struct cleave_entry *entry, void *arg)
{
	unsigned *visits = arg;

	(void)entry;
	++*visits;
	return 0;
}

/* A visit during which the interval is changed, but keeps its place, as an owner may. */
struct changing {
	struct bench *bench;
	unsigned visits;
};

static int visit_and_change(struct cleave_entry *entry, void *arg)
{
	struct changing *changing = arg;
	struct bench *b = changing->bench;

	if (entry == &b->member[1].entry)
		b->s->change(b->groups, &b->update, entry, 5, 100 + changing->visits);
	return ++changing->visits > 10;
}

Test(range_group, a_walk_does_not_come_again_to_what_is_changed_in_place)
{
	struct bench b = set_up(&cleave_range_group_free);
	struct changing changing = { .bench = &b };

	insert(&b, 0, NULL, 3, 9);
	insert(&b, 1, NULL, 5, 9);
	insert(&b, 2, NULL, 7, 9);
	cr_assert_eq(b.s->walk(b.groups, NULL, 0, 8, 8, visit_and_change, &changing), 0);
	cr_assert_eq(changing.visits, 3);
	assert_sound(&b);
	tear_down(&b);
}

/* How many numbers were given may be any number, the one at which it began again. */
Test(range_group, a_walk_finds_groups_however_many_numbers_were_given)
{
	for (unsigned f = 0; f < FORMS; f++) {
		struct bench b = set_up(forms[f]);
		unsigned visits = 0;

		b.groups->index.given = UINT32_MAX;
		make_group(&b, 0, 3, 9);
		cr_assert_eq(b.groups->index.given, 0);
		insert(&b, 0, NULL, 3, 9);
		cr_assert_eq(b.s->walk(b.groups, NULL, 0, 5, 5, count, &visits), 0);
		cr_assert_eq(visits, 1);
		tear_down(&b);
	}
}

Test(range_group, with_all_numbers_in_use_the_rest_goes_to_the_tree)
{
	for (unsigned f = 0; f < FORMS; f++) {
		struct bench b = set_up(forms[f]);

		for (unsigned n = 0; n < CLV_INDEX_RANGES; n++) {
			make_group(&b, 0, n, 100);
			insert(&b, n, NULL, n, 100);
		}
		for (unsigned i = CLV_INDEX_RANGES; i < 100; i++) {
			insert(&b, i, NULL, 50, 60);
			cr_assert_eq(clv_place_of(&b.member[i]), CLV_PLACE_FRONT);
		}
		cr_assert_gt(b.groups->subset[0]->patience, CLV_SUBSET_PATIENCE);
		assert_sound(&b);
		tear_down(&b);
	}
}

/* The table at the head of range_subset.h. */
Test(range_group, where_an_interval_goes_by_its_source)
{
	for (unsigned f = 0; f < FORMS; f++) {
		struct bench b = set_up(forms[f]);

		insert(&b, 0, NULL, 20, 30); /* in front */
		make_group(&b, 0, 20, 40);
		make_group(&b, 0, 20, 30);
		make_group(&b, 0, 25, 28);
		unsigned longer = number_of(&b, 20, 40) + 1;
		unsigned shorter = number_of(&b, 20, 30) + 1;
		unsigned later = number_of(&b, 25, 28) + 1;

		insert(&b, 1, NULL, 20, 30);
		const struct {
			unsigned source;
			uint64_t start, last;
			unsigned place;
		} rows[] = {
			{ 0, 20, 40, longer },		/* 2: source in front */
			{ 0, 21, 40, CLV_PLACE_FRONT }, /* 3 */
			{ 1, 20, 30, shorter },		/* 4: source in a group, the same */
			{ 1, 25, 28, later },		/* 5: one that follows */
			{ 1, 20, 40, CLV_PLACE_BACK },	/* 6: one that does not */
			{ 1, 22, 22, CLV_PLACE_BACK },	/* 7: none */
			{ 1, 5, 22, CLV_PLACE_FRONT },	/* 8: none, starts before its source */
			{ 5, 20, 40, longer },		/* 9: likewise, one */
			{ 6, 25, 28, CLV_PLACE_BACK },	/* 10: source at the back */
			{ 7, 20, 30, shorter },		/* 11: that, but starts before it */
		};

		cr_assert_eq(clv_place_of(&b.member[0]), CLV_PLACE_FRONT);
		for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			insert(&b, i + 2, &b.member[rows[i].source], rows[i].start, rows[i].last);
			cr_assert_eq(clv_place_of(&b.member[i + 2]), rows[i].place, "%u", i + 2);
		}
		/* Of one chain, directly behind its source. */
		cr_assert_eq(b.member[1].word[0], (uintptr_t)b.member[4].word);
		assert_sound(&b);
		tear_down(&b);
	}
}

Test(range_group, validate_finds_damage)
{
	for (unsigned f = 0; f < FORMS; f++) {
		struct bench b = set_up(forms[f]);
		struct clv_subset *subset = b.groups->subset[0];

		for (unsigned i = 0; i < 12; i++)
			insert(&b, i, NULL, 3, 9);
		insert(&b, 12, NULL, 7, 7);
		assert_sound(&b);

		struct cleave_interval *grouped = &b.member[8];
		struct clv_range *range = &b.groups->index.range[number_of(&b, 3, 9)];

		grouped->word[1] ^= 64;
		assert_reason(&b, "link back");
		grouped->word[1] ^= 64;
		grouped->word[CLV_CHAIN_TAG] ^= 1;
		assert_reason(&b, "tag");
		grouped->word[CLV_CHAIN_TAG] ^= 1;
		b.member[12].word[CLV_CHAIN_TAG] ^= 1;
		assert_reason(&b, "another place");
		b.member[12].word[CLV_CHAIN_TAG] ^= 1;
		grouped->last++;
		assert_reason(&b, "another range");
		grouped->last--;
		grouped->entry.subset = 1;
		assert_reason(&b, "C7");
		grouped->entry.subset = 0;
		b.member[12].start++;
		assert_reason(&b, "starts behind its last");
		b.member[12].start--;

		subset->occupied ^= 1u << CLV_PLACE_BACK;
		assert_reason(&b, "which places");
		subset->occupied ^= 1u << CLV_PLACE_BACK;
		subset->joined = 0;
		assert_reason(&b, "not joined");
		subset->joined = 3;
		assert_reason(&b, "no number");
		subset->joined = 1;

		b.groups->index.taken |= 2;
		assert_reason(&b, "what is taken");
		b.groups->index.taken = 1;
		b.groups->index.busy = 1;
		assert_reason(&b, "busy");
		b.groups->index.busy = 0;
		range->last++;
		assert_reason(&b, "another range");
		range->last--;
		b.groups->index.bucket[0] ^= 200;
		assert_reason(&b, "bucket");
		b.groups->index.bucket[0] ^= 200;
		assert_sound(&b);
		tear_down(&b);
	}
}

/* ---- threads ---- */

enum { THREADS = 3, OWN = 24, ROUNDS = 4000, HOT = 40 };

struct worker {
	struct cleave_map *map;
	struct cleave_env *env;
	pthread_t id;
	unsigned index, wrong;
	struct cleave_interval *own;
	uint64_t start[OWN], last[OWN];
	unsigned met[OWN];
};

static int meet(struct cleave_entry *entry, void *arg)
{
	struct worker *worker = arg;
	struct cleave_interval *member = (struct cleave_interval *)entry;

	if (member >= worker->own && member < worker->own + OWN)
		worker->met[member - worker->own]++;
	return 0;
}

/* What a worker owns does not change during its own walk, and is met once or not at all. */
static void look(struct worker *worker, struct cleave_thread *thread, uint64_t page)
{
	memset(worker->met, 0, sizeof(worker->met));
	worker->wrong += cleave_walk(worker->map, thread, page, page, 0, meet, worker) != 0;
	for (unsigned i = 0; i < OWN; i++) {
		bool wanted = worker->own[i].entry.map_id && worker->start[i] <= page &&
			      worker->last[i] >= page;

		worker->wrong += worker->met[i] != wanted;
	}
}

/* Ranges that are hot for a while, a few at a time and of more than there are numbers for. */
static void *work(void *arg)
{
	struct worker *worker = arg;
	uint64_t dice = worker->index + 1;
	struct cleave_thread *thread;

	if (cleave_thread_begin(&thread, worker->env, -1))
		return NULL;
	for (unsigned round = 0; round < ROUNDS; round++) {
		dice = dice * 6364136223846793005u + 1442695040888963407u;
		unsigned i = (dice >> 33) % OWN, from = (dice >> 41) % OWN;
		uint64_t hot = (round / 200 * 7 + (dice >> 49) % 6) % HOT;
		uint64_t start = hot * 3, last = start + 10 + hot % 4;
		struct cleave_entry *entry = &worker->own[i].entry;
		struct cleave_entry *source = &worker->own[from].entry;

		if (entry->map_id && (dice >> 60) % 4) {
			worker->wrong += cleave_remove(worker->map, thread, entry) != 0;
			cleave_synchronize(worker->map, thread);
		} else {
			const struct cleave_op op = {
				entry->map_id	 ? CLEAVE_CHANGE
				: source->map_id ? CLEAVE_INSERT_NEAR
						 : CLEAVE_INSERT,
				entry,
				source,
				start,
				last,
			};

			worker->wrong += cleave_apply(worker->map, thread, &op, 1) != 0;
			worker->start[i] = start;
			worker->last[i] = last;
		}
		if (round % 8 == 0)
			look(worker, thread, start + 5);
	}
	cleave_thread_end(thread);
	return worker;
}

static void assert_works(const char *design)
{
	static struct worker workers[THREADS];
	struct cleave_env *env;
	struct cleave_map *map;
	struct cleave_error error = { "" };

	cr_assert_eq(cleave_env_open(&env, NULL, &error), 0, "%s", error.text);
	cr_assert_eq(cleave_open(&map, env, design, &error), 0, "%s", error.text);
	memset(workers, 0, sizeof(workers));
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].map = map;
		workers[i].env = env;
		workers[i].index = i;
		workers[i].own = cleave_alloc(OWN * sizeof(*workers[i].own), 64, -1);
		cr_assert_not_null(workers[i].own);
		cr_assert_eq(pthread_create(&workers[i].id, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		void *done;

		pthread_join(workers[i].id, &done);
		cr_assert_not_null(done);
		cr_assert_eq(workers[i].wrong, 0u, "%s: %u wrong", design, workers[i].wrong);
	}
	cr_assert_eq(cleave_validate(map, &error), 0, "%s", error.text);
	cleave_close(map);
	for (unsigned i = 0; i < THREADS; i++)
		cleave_free(workers[i].own, OWN * sizeof(*workers[i].own));
	cleave_env_close(env);
}

Test(range_group, groups_come_and_go_under_threads)
{
	assert_works("range_group@hash4/each:rwsem");
	assert_works("range_group/one:rwsem");
	assert_works("range_group_free@hash4/free");
	assert_works("range_group_free/free");
}
