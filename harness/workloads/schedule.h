/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A schedule: the lock sections of one cycle of a program (one execve, say) on the reverse maps of
 * the files that it maps, with the time between them. A text, data/execl-schedule.txt for example,
 * is read strictly and worked out once: which of the process's own intervals each operation names,
 * and what the process holds when a cycle starts. What comes out is plain, constant data.
 *
 * A process keeps its intervals in slots, each of one file. Slots are given out here, so a replay
 * never searches: an operation names the slot, and removes what this process put there.
 *
 * From a section's text to its batch. An R says which interval leaves; the process held it before
 * the section. It is one operation with the I behind it, if there is one:
 *
 *	R x I y		CHANGE x to y. The kernel takes the VMA out, moves its bounds and puts it
 *			back: section 9 of execl-schedule.txt, a new mapping that merges with the
 *			VMA behind it, and the second half of every split.
 *	R x		REMOVE (section 8: the part that a MAP_FIXED mapping is about to cover).
 *	I p R x I y	INSERT_NEAR p, source x, and CHANGE x to y, in the order written, if p and
 *			y are the two parts of x: a split (sections 3, 4, 7, 10, 11, 15, 16, 17,
 *			23, 29). The piece may be the front of x (section 3: 0-37 of 0-481) or its
 *			back (section 4: 380-481 of 38-481).
 *	I p		INSERT otherwise: a new mapping (section 6).
 *
 * So the recorded 16 I and 16 R on libc.so.6 are 25 operations: 7 of the R and 7 of the I are a
 * change together. Of the whole exec: 33 and 33 are 55, of which 11 are changes and 10 split
 * pieces.
 *
 * What the process holds when a cycle starts is what the text removes before it has inserted it; it
 * must hold the same again when the cycle ends, and nothing at one place between, the exec. At the
 * start of execl-schedule.txt that is what sections 22 to 33, behind the exec, leave: 4 intervals
 * of execself, 4 of the loader, none of the rest.
 *
 * The text. Lines are comments (#), empty, or, in this order:
 *	trapped SECTION US	any number: part of that section's gap that the recording machine
 *				spent on itself and a replay leaves out
 *	SECTION T_US GAP_US FILE OP...	OP is I:FIRST-LAST or R:FIRST-LAST; sections count from 1
 *	end COUNT		how many sections there were; the last line
 * In place of the `end` line the summary that the recorder itself writes is taken, too:
 *	# period US us; gaps: median US mean US; libc-only sections COUNT
 * whose period must be the sum of the gaps, and whose count that of libc.so.6's sections. Every
 * line ends in a newline, so that a text that was cut off anywhere is refused.
 *
 * Threads: any, once made; nothing writes it. Not for the measured side to call, which gets the
 * struct: parsing allocates with malloc and reads files.
 */
#ifndef CLV_SCHEDULE_H
#define CLV_SCHEDULE_H

#include <cleave/cleave.h>

#include "../range.h"

struct clv_schedule_op {
	enum cleave_op_kind kind;
	uint32_t slot;
	uint32_t source_slot; /* CLEAVE_INSERT_NEAR */
	struct clv_range range; /* INSERT*, CHANGE */
};

struct clv_schedule_section {
	uint64_t gap_ns;      /* from the section before to this one, without what was trapped */
	uint64_t recorded_ns; /* with it */
	unsigned file;
	unsigned first_op, ops;
};

struct clv_schedule_file {
	char name[64];
	unsigned sections, ops;
	unsigned recorded_inserts, recorded_removes; /* I and R of the text */
};

struct clv_schedule {
	unsigned sections, ops, files, slots;
	unsigned section_ops_max;
	struct clv_schedule_section *section;
	struct clv_schedule_op *op;
	struct clv_schedule_file *file;
	unsigned *file_of_slot;		    /* [slots] */
	struct clv_range *initial; /* [slots]: held when a cycle starts */
	/*
	 * [slots]: what is in slot i when a cycle ends is what the next one finds in slot
	 * next_slot[i]. A permutation.
	 */
	unsigned *next_slot;
	uint64_t cycle_ns; /* sum of gap_ns */
	/*
	 * The file with the most operations (libc.so.6), and what a process at rest holds of it:
	 * the state other than none that lasts longest without a change.
	 */
	unsigned main_file;
	unsigned rest_count; /* at least 1: whatever a section inserts lasts beyond it */
	struct clv_range *rest; /* [rest_count] */
	/*
	 * Where the exec comes in the cycle: its first section, which begins to take apart what the
	 * process holds until then, and that. The sections that only remove, up to the one after
	 * which nothing is held, are of the exec or of what the program did last; from before which
	 * of them it was away for longest, there it called execve. Of the recording, section 19.
	 */
	unsigned exec_section;
	struct clv_range *at_exec; /* [slots] */
	uint64_t last_page;		 /* largest of all bounds */
};

/* Limits on what is read; a text beyond them is refused. */
#define CLV_SCHEDULE_BYTES_MAX (4u << 20)
#define CLV_SCHEDULE_OPS_MAX 16384u
#define CLV_SCHEDULE_FILES_MAX 64u
/* A section is one batch: at most CLEAVE_BATCH_MAX operations. */

/*
 * `name` is for messages, which end in the name and the line. Returns: 0; -EINVAL with one line in
 * error; -ENOMEM. Cost: a second for texts at the limits, microseconds for the recording.
 */
int clv_schedule_parse(struct clv_schedule **schedule, const char *name, const char *text,
		       size_t size_bytes, struct cleave_error *error);

/* From a file. Returns: as clv_schedule_parse; another negative errno if it cannot be read. */
int clv_schedule_load(struct clv_schedule **schedule, const char *path,
		      struct cleave_error *error);

/* data/execl-schedule.txt, which is part of the program. Returns: 0; -ENOMEM. */
int clv_schedule_recorded(struct clv_schedule **schedule, struct cleave_error *error);

/* NULL: nothing happens. */
void clv_schedule_free(struct clv_schedule *schedule);

/* What harness/workloads/embed.py makes of the data file. */
extern const char clv_execl_schedule_text[];
extern const size_t clv_execl_schedule_bytes;

#endif
