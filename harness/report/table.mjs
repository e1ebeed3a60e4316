// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// From the results of docs/results.md to the rows of a picture: one machine, one workload, a panel
// for each condition under which designs were compared.

export class Fault extends Error {}

export const DESIGNS_LIMIT = 12;

export const lowOf = (rate) => rate.low ?? rate.median;
export const highOf = (rate) => rate.high ?? rate.median;

// ---- checking ----

const isText = (value) => typeof value === "string";
const isFlag = (value) => typeof value === "boolean";
const isCount = (value) => Number.isInteger(value) && value > 0;
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
// Of one repetition there is a median alone.
const isRate = (value) => isObject(value) &&
	(value.low === undefined) === (value.high === undefined) &&
	[lowOf(value), value.median, highOf(value)].every((x) => Number.isFinite(x) && x >= 0) &&
	lowOf(value) <= value.median && value.median <= highOf(value);

const POINT = {design: isText, machine: isText, workload: isText, threads: isCount,
	simulated: isFlag, valid: isFlag};

function checkPoint(point, where) {
	if (!isObject(point))
		throw new Fault(`not an object: ${where}`);
	for (const [field, fits] of Object.entries(POINT)) {
		if (!fits(point[field]))
			throw new Fault(`missing or malformed: ${where}.${field}`);
	}
	if (point.valid && !isRate(point.ops_per_s))
		throw new Fault(`missing or malformed: ${where}.ops_per_s`);
}

function check(results) {
	if (!isObject(results) || results.format !== "cleave-results")
		throw new Fault(`no results of cleave run: its "format" is not "cleave-results"`);
	if (results.format_version !== 1)
		throw new Fault(`written by another version: format_version ` +
			`${JSON.stringify(results.format_version)} and not 1`);
	if (!Array.isArray(results.results))
		throw new Fault("missing or malformed: results");
	results.results.forEach((point, i) => checkPoint(point, `results[${i}]`));
}

// ---- choosing ----

// A file that was put together from several runs has `machines`.
function machinesOf(results) {
	const all = Array.isArray(results.machines) ? results.machines : [results.machine];
	return new Map(all.filter((m) => isObject(m) && isText(m.name)).map((m) => [m.name, m]));
}

const distinct = (values) => [...new Set(values)];

function choose(what, known, wanted, usual) {
	if (wanted === undefined)
		return usual;
	if (!known.includes(wanted))
		throw new Fault(`no such ${what} in the results: '${wanted}': there ` +
			`${known.length === 1 ? "is" : "are"} ${known.join(", ")}`);
	return wanted;
}

// A simulated machine before a real one, then the one with most CPUs, then the first.
function usualMachine(points, machines) {
	const size = (name) => machines.get(name)?.cpus ??
		Math.max(...points.filter((p) => p.machine === name).map((p) => p.threads));
	let best = points[0];
	for (const point of points) {
		if (point.simulated !== best.simulated ? point.simulated
			: size(point.machine) > size(best.machine))
			best = point;
	}
	return best.machine;
}

const nameOf = (point) => isText(point.name) ? point.name : point.design;

// In the order of the results. Of too many, those that were run by name.
function chooseDesigns(points, wanted) {
	const all = new Map();
	for (const point of points) {
		if (!all.has(point.design) || isText(point.name))
			all.set(point.design, nameOf(point));
	}
	let chosen = [...all];
	if (wanted !== undefined) {
		const known = new Map(chosen.flatMap(([design, name]) =>
			[[design, design], [name, design]]));
		for (const name of wanted) {
			if (!known.has(name))
				throw new Fault(`no such design in the results: '${name}'`);
		}
		const designs = new Set(wanted.map((name) => known.get(name)));
		chosen = chosen.filter(([design]) => designs.has(design));
	} else if (chosen.length > DESIGNS_LIMIT) {
		chosen = chosen.filter(([design, name]) => name !== design);
	}
	if (chosen.length === 0 || chosen.length > DESIGNS_LIMIT)
		throw new Fault(`too many designs for a picture: ${chosen.length || all.size}: ` +
			`choose up to ${DESIGNS_LIMIT} with --designs`);
	return {designs: new Map(chosen), all: [...all]};
}

// ---- panels ----

// What a panel's points have in common, and how it is said. All but the first are said only where
// panels differ in it.
const CONDITIONS = [
	["think_ns", (v) => v === undefined ? "" : v === "recorded" ? "recorded think time"
		: v === 0 ? "no think time" : `think time ${v} ns`],
	["placement", (v) => `${v}`],
	["walks", (v) => v ? `${Number((100 * v).toPrecision(3))} % walks` : "no walks"],
	["population", (v) => `${v} intervals`],
	["storm", (v) => isObject(v) ? `storm from ${v.from_ms} to ${v.to_ms} ms, else ${v.quiet}`
		: "no storm"],
	["other_lock_ns", (v) => v ? `another lock for ${v} ns` : "no other lock"],
];

const rank = (think) => think === undefined ? -1 : think === "recorded" ? Infinity : think;

function panelsOf(points) {
	const groups = new Map();
	for (const point of points) {
		const key = JSON.stringify(CONDITIONS.map(([field]) => point[field] ?? null));
		groups.set(key, [...groups.get(key) ?? [], point]);
	}
	const panels = [...groups.values()].sort((a, b) => {
		const [x, y] = [rank(a[0].think_ns), rank(b[0].think_ns)];
		return x < y ? -1 : x > y ? 1 : 0;
	});
	const said = CONDITIONS.filter(([field], i) =>
		i === 0 || distinct(panels.map((panel) => panel[0][field])).length > 1);
	return panels.map((panel) => ({
		title: said.map(([field, say]) => say(panel[0][field])).filter(Boolean).join(", "),
		placement: panel[0].placement,
		points: panel,
	}));
}

function checkTwice(panel, designs) {
	const seen = new Set();
	for (const point of panel.points) {
		const key = `${point.design} ${point.threads}`;
		if (seen.has(key))
			throw new Fault(`two results of one kind: ${designs.get(point.design)}, ` +
				`${point.threads} threads${panel.title ? ", " + panel.title : ""}`);
		seen.add(key);
	}
}

/*
 * `options`: machine, workload: names; designs: an array of names or strings; each or undefined.
 * Returns: machine: name, simulated, about (the results' object for it, or undefined); workload;
 * designs: a map from string to name; all: what there was to choose from, pairs of the same;
 * panels: title, placement and points each, of which `drawn` says which have a rate.
 */
export function tabulate(results, options) {
	check(results);
	if (results.results.length === 0)
		throw new Fault("no results");
	const machines = machinesOf(results);
	let points = results.results;
	const machine = choose("machine", distinct(points.map((p) => p.machine)), options.machine,
		usualMachine(points, machines));
	points = points.filter((p) => p.machine === machine);
	const workloads = distinct(points.map((p) => p.workload));
	const workload = choose("workload", workloads, options.workload,
		workloads.includes("exec") ? "exec" : workloads[0]);
	points = points.filter((p) => p.workload === workload);
	const {designs, all} = chooseDesigns(points, options.designs);
	points = points.filter((p) => designs.has(p.design));
	if (!points.some(drawn))
		throw new Fault(`no valid point: ${workload} on ${machine}`);
	const panels = panelsOf(points);
	panels.forEach((panel) => checkTwice(panel, designs));
	return {machine: {name: machine, simulated: points[0].simulated, about: machines.get(machine)},
		workload, designs, all, panels};
}

// A rate of 0 has no place on a logarithmic scale.
export const drawn = (point) => point.valid && point.ops_per_s.median > 0;
