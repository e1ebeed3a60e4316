// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Google Benchmark 1.7.1 behind gbench.h: runs what gbench_plan.c has planned and keeps the
 * results. The only C++ of the harness.
 *
 * Each step of the plan is registered with the library as a benchmark of one repetition, just
 * before the run. The library runs what is registered in order and calls the reporter after each,
 * so `current`, which the function of a step sets, tells the reporter whose result it got.
 *
 * One repetition a step also keeps the library from computing aggregates, where it aborts if a
 * failed repetition has another number of iterations than the first.
 */
#include "gbench.h"
#include "gbench_plan.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using benchmark::Counter;
using Run = benchmark::BenchmarkReporter::Run;
using Context = std::map<std::string, std::string>;

struct clv_gbench_state {
	benchmark::State *state;
	const clv_gbench_point *point;
	int repetition;
	int64_t timed; /* iterations that were given a time */
	bool done;     /* the loop's condition was false */
	bool failed;
};

namespace
{

struct Result {
	std::vector<Run> runs, aggregates; /* runs: repetitions ascending */
	bool failed = false;
};

/* The last run, and the one in progress. */
struct Session {
	clv_gbench_plan plan = {};
	std::vector<Result> results; /* [plan.points] */
	std::string head;	     /* of the JSON: from its start to the first benchmark */
	const clv_gbench_step *current = nullptr;
	clv_gbench_report_fn *report = nullptr;
	void *report_ctx = nullptr;
	bool cancelled = false;

	~Session() { clv_gbench_plan_free(&plan); }
};

static std::unique_ptr<Session> session;

/* pre: in a catch block. */
static int caught()
{
	try {
		throw;
	} catch (const std::bad_alloc &) {
		return clv_gbench_refuse(-ENOMEM, "out of memory");
	} catch (const std::exception &error) {
		return clv_gbench_refuse(-EIO, "benchmark library: %s", error.what());
	} catch (...) {
		return clv_gbench_refuse(-EIO, "benchmark library: unknown exception");
	}
}

static const struct {
	unsigned ours;
	Counter::Flags theirs;
} counter_flags[] = {
	{ CLV_GBENCH_RATE, Counter::kIsRate },
	{ CLV_GBENCH_INVARIANT, Counter::kIsIterationInvariant },
	{ CLV_GBENCH_AVERAGE, Counter::kAvgIterations },
	{ CLV_GBENCH_INVERT, Counter::kInvert },
};

static void remove_infinite(benchmark::UserCounters &counters)
{
	for (auto it = counters.begin(); it != counters.end();)
		it = std::isfinite(it->second.value) ? std::next(it) : counters.erase(it);
}

static bool has_finite_times(const Run &run)
{
	return std::isfinite(run.GetAdjustedRealTime()) && std::isfinite(run.GetAdjustedCPUTime());
}

static double compute(const clv_gbench_statistic &statistic, std::vector<double> &value)
{
	std::sort(value.begin(), value.end());
	return statistic.compute(value.data(), value.size());
}

/* pre: at least 2 runs, none failed. Counters that not all of them have are left out. */
static Run aggregate(const std::vector<Run> &runs, const clv_gbench_statistic &statistic)
{
	Run data = runs.front();
	std::vector<double> real, cpu;

	for (const Run &run : runs) {
		real.push_back(run.real_accumulated_time / static_cast<double>(run.iterations));
		cpu.push_back(run.cpu_accumulated_time / static_cast<double>(run.iterations));
		if (run.report_label != data.report_label)
			data.report_label.clear();
	}
	data.run_type = Run::RT_Aggregate;
	data.aggregate_name = statistic.name;
	data.aggregate_unit = statistic.is_ratio ? benchmark::kPercentage : benchmark::kTime;
	data.repetition_index = Run::no_repetition_index;
	data.iterations = static_cast<int64_t>(runs.size());
	/* The library divides times by the iterations when it reports them, but not ratios. */
	double scale = statistic.is_ratio ? 1 : static_cast<double>(runs.size());
	data.real_accumulated_time = compute(statistic, real) * scale;
	data.cpu_accumulated_time = compute(statistic, cpu) * scale;

	data.counters.clear();
	for (const auto &first : runs.front().counters) {
		std::vector<double> value;
		for (const Run &run : runs) {
			auto found = run.counters.find(first.first);
			if (found != run.counters.end())
				value.push_back(found->second.value);
		}
		if (value.size() == runs.size())
			data.counters[first.first] =
				Counter(compute(statistic, value), first.second.flags);
	}
	remove_infinite(data.counters);
	return data;
}

static void call_report(const clv_gbench_point &point, const Run &run)
{
	bool is_aggregate = run.run_type == Run::RT_Aggregate && !run.error_occurred;
	std::string name = run.benchmark_name(), run_name = run.run_name.str();
	std::vector<clv_gbench_counter_value> counters;

	if (!session->report || session->cancelled)
		return;
	for (const auto &it : run.counters) {
		unsigned flags = 0;
		for (const auto &flag : counter_flags)
			if (it.second.flags & flag.theirs)
				flags |= flag.ours;
		counters.push_back({ it.first.c_str(), it.second.value, flags });
	}

	clv_gbench_report report = {};
	report.name = name.c_str();
	report.run_name = run_name.c_str();
	report.bench = point.bench;
	report.ctx = point.bench->ctx;
	report.aggregate_name = is_aggregate ? run.aggregate_name.c_str() : nullptr;
	report.repetition_index = static_cast<int>(run.repetition_index);
	report.repetitions = point.repetitions;
	report.iterations = run.iterations;
	if (run.error_occurred) {
		report.real_time = report.cpu_time = std::numeric_limits<double>::quiet_NaN();
	} else if (is_aggregate && run.aggregate_unit == benchmark::kPercentage) {
		report.real_time = run.real_accumulated_time;
		report.cpu_time = run.cpu_accumulated_time;
	} else {
		report.real_time = run.GetAdjustedRealTime();
		report.cpu_time = run.GetAdjustedCPUTime();
	}
	report.unit = point.bench->unit;
	report.unit_name = benchmark::GetTimeUnitString(run.time_unit);
	report.counter = counters.data();
	report.counters = counters.size();
	report.label = run.report_label.c_str();
	report.error = run.error_occurred;
	report.error_message = run.error_message.c_str();
	session->cancelled = session->report(&report, session->report_ctx) != 0;
}

/* Make of what the library measured what it would have reported for a repetition of many. */
static void place_run(Run &run, const clv_gbench_point &point, int repetition)
{
	run.statistics = nullptr; /* both are the library's, and end with its run */
	run.memory_result = nullptr;
	run.family_index = point.bench->family;
	run.per_family_instance_index = point.instance;
	run.repetition_index = repetition;
	run.repetitions = point.repetitions;
	run.threads = point.bench->threads;
	if (point.bench->repetitions)
		run.run_name.repetitions = "repeats:" + std::to_string(point.repetitions);
	remove_infinite(run.counters);
	if (!run.error_occurred && !has_finite_times(run)) {
		run.error_occurred = true;
		run.error_message = "the time is not finite";
	}
	if (run.error_occurred) {
		run.counters.clear();
		run.run_type = Run::RT_Aggregate;
		run.aggregate_name = "error"; /* the end of its name in the JSON */
	}
}

class Reporter : public benchmark::BenchmarkReporter {
public:
	Reporter()
	{
		SetOutputStream(&out_);
		SetErrorStream(&error_);
	}

	bool ReportContext(const Context &context) override
	{
		benchmark::JSONReporter json;
		std::ostringstream head;

		json.SetOutputStream(&head);
		json.SetErrorStream(&error_);
		json.ReportContext(context);
		session->head = head.str();
		return true;
	}

	void ReportRuns(const std::vector<Run> &runs) override
	{
		if (session->cancelled || !session->current)
			return;
		const clv_gbench_step &step = *session->current;
		const clv_gbench_point &point = session->plan.point[step.point];
		Result &result = session->results[step.point];
		if (runs.size() != 1 || runs[0].run_name.function_name != point.bench->name)
			throw std::logic_error("results do not come one by one");
		result.runs.push_back(runs[0]);
		place_run(result.runs.back(), point, step.repetition);
		result.failed |= result.runs.back().error_occurred;
		call_report(point, result.runs.back());

		if (result.failed || point.repetitions < 2 ||
		    step.repetition + 1 < point.repetitions)
			return;
		for (const auto &statistic : clv_gbench_statistics) {
			Run data = aggregate(result.runs, statistic);
			if (!has_finite_times(data))
				continue;
			result.aggregates.push_back(data);
			call_report(point, data);
		}
	}

	std::string error() const { return error_.str(); }

private:
	std::ostringstream out_, error_;
};

/* The library's registry is filled for one run only. */
struct Running {
	Running() { clv_gbench_registry.running = true; }
	~Running()
	{
		benchmark::ClearRegisteredBenchmarks();
		clv_gbench_registry.running = false;
		session->current = nullptr;
	}
};

} // namespace

static void run_step(benchmark::State &library_state, const clv_gbench_step &step)
{
	const clv_gbench_point &point = session->plan.point[step.point];
	const clv_gbench &bench = *point.bench;
	clv_gbench_state state = { &library_state, &point, step.repetition, 0, false, false };

	session->current = &step;
	if (session->cancelled) {
		clv_gbench_error(&state, "cancelled");
		return;
	}
	try {
		bench.fn(&state, bench.ctx);
	} catch (...) {
		caught();
		clv_gbench_error(&state, "exception: %s", clv_gbench_why());
	}
	/* The library aborts on a loop that was left early, unless there is an error. */
	if (!state.failed && !state.done)
		clv_gbench_error(&state, "left its loop early, at %lld of %lld iterations",
				 static_cast<long long>(library_state.iterations()),
				 static_cast<long long>(bench.iterations));
	if (!state.failed && bench.manual && state.timed != bench.iterations)
		clv_gbench_error(&state, "set a time %lld times in %lld iterations",
				 static_cast<long long>(state.timed),
				 static_cast<long long>(bench.iterations));
}

static void add_step(const clv_gbench_step &step)
{
	const clv_gbench_point &point = session->plan.point[step.point];
	const clv_gbench &bench = *point.bench;
	auto *instance = benchmark::RegisterBenchmark(
		bench.name, [&step](benchmark::State &state) { run_step(state, step); });

	instance->Iterations(bench.iterations)
		->Unit(static_cast<benchmark::TimeUnit>(bench.unit))
		->MeasureProcessCPUTime();
	if (bench.manual)
		instance->UseManualTime();
	else
		instance->UseRealTime();
	if (bench.arg_names)
		instance->ArgNames({ bench.arg_name, bench.arg_name + bench.arg_names });
	if (point.args)
		instance->Args({ point.arg, point.arg + point.args });
}

/* The library only adds to its own, and complains on standard error of a key that is there. */
static void set_library_context(const Context &context)
{
	Context *&global = benchmark::internal::GetGlobalContext();

	delete global;
	global = nullptr;
	if (!context.empty())
		global = new Context(context);
}

int clv_gbench_init(void)
try {
	/*
	 * All flags of 1.7.1 but benchmark_context, since the library takes the defaults of those
	 * not given from BENCHMARK_* in the environment. The context is emptied below.
	 */
	static const char *const flags[] = {
		"--benchmark_list_tests=false", "--benchmark_filter=",
		"--benchmark_min_time=0.5", "--benchmark_min_warmup_time=0",
		"--benchmark_repetitions=1",
		"--benchmark_enable_random_interleaving=false",
		"--benchmark_report_aggregates_only=false",
		"--benchmark_display_aggregates_only=false",
		"--benchmark_format=console", "--benchmark_color=false",
		"--benchmark_out=", "--benchmark_out_format=json",
		"--benchmark_counters_tabular=false", "--benchmark_perf_counters=",
		"--benchmark_time_unit=ns", "--v=0",
	};
	static char program[] = "cleave"; /* the library keeps the pointer */

	if (clv_gbench_registry.started)
		return clv_gbench_refuse(-EBUSY, "benchmark library is started already");
	std::vector<std::string> text(std::begin(flags), std::end(flags));
	std::vector<char *> argv = { program };
	for (std::string &flag : text)
		argv.push_back(&flag[0]);
	int argc = static_cast<int>(argv.size());
	argv.push_back(nullptr);
	benchmark::Initialize(&argc, argv.data());
	set_library_context({});
	if (argc != 1)
		return clv_gbench_refuse(-ENOTSUP, "benchmark library does not know %s", argv[1]);
	session = std::make_unique<Session>();
	clv_gbench_registry.started = true;
	clv_gbench_why_clear();
	return 0;
} catch (...) {
	return caught();
}

int clv_gbench_clear(void)
try {
	int rc = clv_gbench_check_idle();
	if (rc)
		return rc;
	session = std::make_unique<Session>();
	set_library_context({});
	clv_gbench_registry_drop();
	return 0;
} catch (...) {
	return caught();
}

int clv_gbench_shutdown(void)
try {
	int rc = clv_gbench_clear();
	if (rc)
		return rc;
	session.reset();
	clv_gbench_registry.started = false;
	benchmark::Shutdown(); /* frees the context, which is null: it would keep the pointer */
	return 0;
} catch (...) {
	return caught();
}

int clv_gbench_run(const char *filter, clv_gbench_report_fn *report, void *ctx)
try {
	int rc = clv_gbench_check_idle();
	if (rc)
		return rc;
	session = std::make_unique<Session>();
	rc = clv_gbench_plan_make(&session->plan);
	if (rc)
		return rc;
	if (!session->plan.points)
		return clv_gbench_refuse(-ENOENT, "no benchmark is registered");
	session->results.resize(session->plan.points);
	session->report = report;
	session->report_ctx = ctx;
	Context context;
	for (size_t i = 0; i < clv_gbench_registry.contexts; i++)
		context[clv_gbench_registry.context[i].key] = clv_gbench_registry.context[i].value;
	set_library_context(context);

	Running running;
	Reporter reporter;
	for (size_t i = 0; i < session->plan.steps; i++)
		add_step(session->plan.step[i]);
	if (!benchmark::RunSpecifiedBenchmarks(&reporter, std::string(filter ? filter : ""))) {
		if (reporter.error().find("Could not compile") != std::string::npos)
			return clv_gbench_refuse(-EINVAL, "benchmark filter %s: not a regular "
						 "expression", filter);
		return clv_gbench_refuse(-ENOENT, "benchmark filter %s: matches nothing", filter);
	}
	if (session->cancelled)
		return clv_gbench_refuse(-ECANCELED, "stopped");
	return static_cast<int>(std::count_if(session->results.begin(), session->results.end(),
					      [](const Result &r) { return !r.runs.empty(); }));
} catch (...) {
	return caught();
}

/*
 * Take the numbers, which are all 0, out of the entry of a failed repetition. They end with the
 * time unit, each on a line, and no other line starts like that: ends of lines in strings are
 * escaped.
 */
static void remove_numbers(std::string &entry, int64_t repetition_index)
{
	size_t from = entry.find("\n      \"iterations\": ");
	size_t last = entry.find("\n      \"time_unit\": ", from);
	size_t end = entry.find('\n', last + 1);

	if (from == std::string::npos || last == std::string::npos || end == std::string::npos)
		throw std::logic_error("the JSON is not laid out as expected");
	if (entry[end - 1] == ',')
		end--;
	entry.replace(from, end - from,
		      "\n      \"repetition_index\": " + std::to_string(repetition_index));
}

int clv_gbench_json(char **text, size_t *size)
try {
	int rc = clv_gbench_check_idle();
	if (rc)
		return rc;
	benchmark::JSONReporter json;
	std::string all = session->head;
	bool any = false;
	for (const Result &result : session->results) {
		for (const auto *list : { &result.runs, &result.aggregates }) {
			for (const Run &run : *list) {
				std::ostringstream out;
				json.SetOutputStream(&out);
				json.ReportRuns({ run });
				std::string entry = out.str();
				if (run.error_occurred)
					remove_numbers(entry, run.repetition_index);
				all += entry;
				any = true;
			}
		}
	}
	if (!any)
		return clv_gbench_refuse(-ENODATA, "no benchmark has run");
	std::ostringstream tail;
	json.SetOutputStream(&tail);
	json.Finalize();
	all += tail.str();

	char *copy = strdup(all.c_str());
	if (!copy)
		throw std::bad_alloc();
	*text = copy;
	if (size)
		*size = all.size();
	return 0;
} catch (...) {
	return caught();
}

bool clv_gbench_keep_running(struct clv_gbench_state *state)
try {
	if (!state->done && !state->state->KeepRunning())
		state->done = true;
	return !state->done;
} catch (...) {
	state->done = true;
	clv_gbench_error(state, "the library's loop failed");
	return false;
}

int clv_gbench_set_seconds(struct clv_gbench_state *state, double seconds)
{
	const clv_gbench *bench = state->point->bench;

	if (!bench->manual)
		return clv_gbench_refuse(-EINVAL, "benchmark %s: its time is not manual",
					 bench->name);
	if (!std::isfinite(seconds) || seconds <= 0)
		return clv_gbench_refuse(-EINVAL, "benchmark %s: %g seconds", bench->name, seconds);
	state->state->SetIterationTime(seconds);
	state->timed++;
	return 0;
}

int clv_gbench_counter(struct clv_gbench_state *state, const char *name, double value,
		       unsigned flags)
try {
	int theirs = Counter::kDefaults;
	int rc = clv_gbench_check_counter(name);

	if (rc)
		return rc;
	if (!std::isfinite(value))
		return clv_gbench_refuse(-EINVAL, "counter %s: not finite", name);
	for (const auto &flag : counter_flags) {
		if (flags & flag.ours)
			theirs |= flag.theirs;
		flags &= ~flag.ours;
	}
	if (flags)
		return clv_gbench_refuse(-EINVAL, "counter %s: unknown flags %#x", name, flags);
	state->state->counters[name] = Counter(value, static_cast<Counter::Flags>(theirs));
	return 0;
} catch (...) {
	return caught();
}

int clv_gbench_label(struct clv_gbench_state *state, const char *text)
try {
	if (!text || !clv_gbench_text_is_good(text))
		return clv_gbench_refuse(-EINVAL, "label: holds a control character or invalid "
					 "UTF-8");
	state->state->SetLabel(text);
	return 0;
} catch (...) {
	return caught();
}

void clv_gbench_error(struct clv_gbench_state *state, const char *format, ...)
{
	char message[CLV_GBENCH_TEXT_MAX + 1];
	va_list args;

	if (state->failed)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	clv_gbench_text_mend(message);
	state->failed = true;
	try {
		state->state->SkipWithError(message);
	} catch (...) {
		/* The library does not know of the error; what is cancelled is not recorded. */
		session->cancelled = true;
	}
}

int clv_gbench_arg(const struct clv_gbench_state *state, size_t i, int64_t *value)
{
	if (i >= state->point->args)
		return clv_gbench_refuse(-ERANGE, "benchmark %s: no argument %zu",
					 state->point->bench->name, i);
	*value = state->point->arg[i];
	return 0;
}

int clv_gbench_repetition(const struct clv_gbench_state *state)
{
	return state->repetition;
}

int64_t clv_gbench_iteration_count(const struct clv_gbench_state *state)
{
	return state->point->bench->iterations;
}
