// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A look-alike of the Linux rw_semaphore: a sleeping reader-writer lock whose waiting writers spin
 * while the owner runs, and may take it past those who sleep. Written from the rules of Linux 6.1,
 * kernel/locking/rwsem.c and osq_lock.c; function names in brackets are theirs. What rwsem.numa has in
 * common with it is in rwsem_core.h.
 *
 *     word    63 ........ 8 | 7 .. 3 |    2    |    1    |   0
 *             reader count  | unused | handoff | waiters | writer
 *     owner   63 .................... 2 |        1        |      0
 *             thread that took it last  | do not spin     | reader-owned
 *
 * The count may include readers that are about to take theirs back. Linux keeps bit 63 to stop it
 * from overflowing: not needed here.
 *
 * Invariants:
 *  - Nobody sets `writer` but by compare-and-swap from a word without writer and readers.
 *  - `waiters` is set exactly if the wait queue is not empty, `handoff` only if it is not; both
 *    change under wait_lock alone (a thread about to queue may hold it with the bit not yet set).
 *  - `owner` is a hint. It is never needed to be right, only to be a thread of this environment:
 *    it is written after the word when taken, before the word when a writer lets go, and left as it
 *    is by readers that let go.
 *  - A waiter, on its thread's stack, is in the queue, or in one waker's private list, or gone.
 *    Once `granted` is set its memory is its thread's again.
 *
 * Rules, by function:
 *  acquire, release    0 to writer, by compare-and-swap; no owner, then writer off, and a wake if
 *                      there are waiters [rwsem_write_trylock, __up_write].
 *  acquire_shared      add one reader; it holds if no flag was set [rwsem_read_trylock].
 *  release_shared      the last one out wakes if there are waiters [__up_read].
 *  may_spin            a writer that fails spins, unless the lock is marked "do not spin" or the
 *                      owner is a writer that does not run [rwsem_can_spin_on_owner].
 *  spin                one OSQ for the lock; its head alone watches the owner, and gives up when
 *                      that is a writer that stops running, or the mark appears. The lock is stolen
 *                      when it is free and without handoff, no matter who sleeps. Among readers it
 *                      spins 10 + readers/2 us, 25 at most, anew when it has seen the lock without
 *                      readers meanwhile, looking at the clock every 16 turns; then it sets the
 *                      mark [rwsem_optimistic_spin, _spin_on_owner, _rspin_threshold,
 *                      _set_nonspinnable, _try_write_lock_unqueued].
 *  unmark              the mark goes when the last reader leaves sleepers behind, or a slow path
 *                      finds the lock free, or a writer takes it [clear_nonspinnable].
 *  wait_exclusive      joins the FIFO and tries; sleeps without limit; each wake is one more try.
 *  try_queued_locked   A try that finds the lock held more than 4 ms after joining sets handoff,
 *                      which is the queue's head's: spinners no longer steal, readers no longer
 *                      enter, a waiter that is not first yields. Note that the 4 ms count from
 *                      joining the queue, and that the bit is set only by a waiter that is awake:
 *                      the head is woken by every release. After that, the head watches a running
 *                      owner rather than sleep [rwsem_down_write_slowpath, rwsem_try_write_lock].
 *  acquire_shared_slow the reader keeps its count, and so steals, if there is no writer and no
 *                      handoff, unless the lock is reader-owned and others are in the count. The
 *                      first such reader also lets in the readers at the head of the queue. If
 *                      not, it takes its count back and sleeps until granted. It does not spin
 *                      [rwsem_down_read_slowpath].
 *  pick_locked         who is woken. A writer at the head: it alone, without ownership. A reader
 *                      at the head: all queued readers, up to 256, past the writers between them,
 *                      all granted at once, and handoff over. If a writer has stolen the lock,
 *                      a reader that has queued for more than 4 ms sets handoff [rwsem_mark_wake].
 *  pick_if_open_locked a reader that queues takes its count back; a releaser that saw this count
 *                      woke nobody. So whoever queues wakes the head if no writer is inside: only
 *                      readers if there still are readers [rwsem_cond_wake_waiter].
 *
 * Where it differs, and why:
 *  - Linux disables preemption from the change of the word to that of the owner, and while
 *    spinning. A program cannot; a thread that the system takes off its CPU in between holds up
 *    those who spin until it is back.
 *  - A spinner in Linux stops when it is due to be rescheduled, and sleeps. A program does not
 *    learn that in time, and nothing is put in its place: a clock limit would also end the spinning
 *    in a long queue on a machine where everybody has a CPU, where Linux goes on. So with more
 *    threads than CPUs a spinner, and the OSQ behind it, can use up its time slice waiting for an
 *    owner that is ready to run but has no CPU.
 *  - "The owner runs" is clv_is_running: on the host, false only while it is parked in the shim.
 *  - 4 ms are 4 ms; in Linux 4 to 8 at HZ=250, 4 to 5 at HZ=1000.
 *  - `granted` is set after wait_lock was dropped, just before the wake, not under it. A reader
 *    that is awake already may notice some ns later; no list of threads is needed, and wait_lock is
 *    held for shorter. A thread that picks itself is not woken.
 *  - No real-time tasks (they set handoff at once), no signals, no downgrade, no debugging.
 *
 * An instance is 56 bytes, in one line; Linux's is 40 (64 bits, no debugging). The difference are
 * the tails of the spinners' queues: pointers here, CPU numbers there.
 *
 * Progress: blocking. Fairness: the sleeper at the head is overtaken until its first failed try
 * after 4 ms, and by nobody from then on; readers further back overtake queued writers whenever
 * readers are let in. Memory: the waiter's stack.
 */
#include "rwsem_core.h"

/* Returns: has it? */
static bool spin(struct rwsem *sem, struct cleave_thread *self)
{
	if (!clv_osq_enter(&sem->spinners, self, CLV_OSQ_MAY_LEAVE))
		return false;
	bool taken = spin_in_front(sem, self);
	clv_osq_exit(&sem->spinners, self);
	return taken;
}

static void acquire(void *lock, struct clv_hold *hold)
{
	struct rwsem *sem = lock;
	if (try_acquire(sem, hold) || (may_spin(sem) && spin(sem, hold->thread)))
		return;
	wait_exclusive(sem, hold->thread);
}

static const struct cleave_field fields[] = {
	{ offsetof(struct rwsem, word), "word" }, { offsetof(struct rwsem, owner), "owner" },
	{ offsetof(struct rwsem, spinners), "spinners" },
	{ offsetof(struct rwsem, wait_lock), "wait_lock" },
	{ offsetof(struct rwsem, first), "waiters" }, { 0, NULL },
};

const struct clv_lock_type clv_lock_rwsem = {
	.name = "rwsem",
	.summary = "sleeping; writers spin while the owner runs, and overtake sleepers for 4 ms; "
		   "sleeping readers are let in together",
	.source = "Linux 6.1 kernel/locking/rwsem.c, osq_lock.c (rules, not code)",
	.flags = CLV_LOCK_SLEEPS,
	.size_bytes = sizeof(struct rwsem),
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.acquire_shared = acquire_shared,
	.release_shared = release_shared,
	.try_acquire_shared = try_acquire_shared,
	.fields = fields,
};
