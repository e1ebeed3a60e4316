// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The Vega-Lite specification of a run over time: course.vl.json with its "@names" filled in. Panels
// one below the other with one time axis, behind them the phases of designs that change.
import {readFileSync} from "node:fs";
import {TOTAL_WIDTH, count, describeMachine, fill, keyRows, rateTicks, stylesOf, substitute,
	textWidth} from "./spec.mjs";
import {Fault, tabulate} from "./table.mjs";

const TEMPLATE = new URL("course.vl.json", import.meta.url);
const STRIP = 20; // height of a row of phases, and of the line above it
const MARKS = 20; // on a line, that tell it from others without its colour

// What a map is said to be in. A phase that is not known here is grey.
const SHADES = new Map([["whole", "#ececec"], ["split", "#cfe5f5"], ["draining", "#fde3b8"]]);
const shadeOf = (phase) => SHADES.get(phase) ?? "#dddddd";

// ---- checking ----

const isFigure = (value) => value === null || Number.isFinite(value);
const isColumn = (value, length) => Array.isArray(value) && value.length === length &&
	value.every(isFigure);

function checkCourse(point) {
	const course = point.course, where = `course of ${point.name ?? point.design}`;
	if (!Array.isArray(course.at_us) || !isColumn(course.at_us, course.at_us.length) ||
		!(course.every_us > 0) || !(course.window_ms > 0))
		throw new Fault(`missing or malformed: ${where}`);
	for (const [name, value] of Object.entries(columnsOf(point))) {
		if (value !== undefined && !isColumn(value, course.at_us.length))
			throw new Fault(`missing or malformed: ${where}: ${name}`);
	}
	for (const phase of point.phases ?? []) {
		if (!Number.isFinite(phase?.at_us) || typeof phase.phase !== "string" ||
			typeof phase.map !== "string")
			throw new Fault(`missing or malformed: phases of ${point.name ?? point.design}`);
	}
}

// ---- panels ----

const sum = (a, b) => a === undefined ? undefined
	: a.map((x, i) => x === null ? null : x + (b?.[i] ?? 0));

// What a point has to draw, by panel; undefined: it has not.
function columnsOf({course}) {
	return {
		rate: course.ops_per_s,
		wait: sum(course.time_share?.wait, course.time_share?.handover),
		walk: course.walk_wait_longest_ns,
		memory: course.allocated_bytes,
	};
}

const logarithmic = (rows) => {
	const values = rows.map((row) => row.value).filter((value) => value > 0);
	const domain = [Math.min(...values) / 1.3, Math.max(...values) * 1.3];
	return {scale: {type: "log", domain, nice: false, clamp: true}, ticks: rateTicks(domain),
		format: "~s"};
};

const PANELS = [
	{name: "rate", title: "operations per second", height: 190, marks: ["line", "dots"],
		value: (x) => x > 0 ? x : null, axis: logarithmic},
	{name: "wait", title: "% of time waiting for locks", height: 110, marks: ["line", "dots"],
		value: (x) => x === null ? null : 100 * x,
		axis: () => ({scale: {domain: [0, 100]}, ticks: [0, 25, 50, 75, 100], format: "d"})},
	{name: "walk", title: "longest wait of a walk, us", height: 130, marks: ["dots"],
		value: (x) => x === null ? null : Math.max(x / 1000, 0.1),
		axis: (rows) => ({...logarithmic(rows), format: "~g"})},
	{name: "memory", title: ["memory over", "the least, KiB"], height: 80,
		marks: ["line", "dots"], value: (x) => x / 1024,
		axis: (rows) => {
			const most = Math.max(1, ...rows.map((row) => row.value));
			return {scale: {domain: [0, most * 1.08]}, ticks: [0, Number(most.toPrecision(2))],
				format: "~r"};
		}},
];

// A slice's figure stands in its middle.
function rowsOf(panel, points) {
	return points.flatMap((point) => {
		const {at_us: at, every_us: every, window_ms: window} = point.course;
		const stride = panel.marks.includes("line") ? Math.ceil(at.length / MARKS) : 1;
		return (columnsOf(point)[panel.name] ?? []).map((value, i) => ({
			design: point.design, marked: i % stride === 0,
			ms: (at[i] + Math.min(at[i] + every, window * 1000)) / 2000,
			value: panel.value(value),
		}));
	});
}

// All that a simulation has allocated says little: how much more than the least of any.
function aboveTheLeast(rows) {
	const least = Math.min(...rows.map((row) => row.value));
	return rows.map((row) => ({...row, value: row.value - least}));
}

// ---- phases ----

// Of the map that walks go to; of several, that of the first design that changes.
const mapOf = (points) => points.find(({walk_map}) => walk_map)?.walk_map;

// The first change in the window says what there was before it only by its name: a map begins whole.
function phasesOf(point, map, window_ms) {
	const own = (point.phases ?? []).filter((phase) => phase.map === map);
	const before = own.filter((phase) => phase.at_us < 0);
	const begin = {at_us: 0, phase: before.at(-1)?.phase ?? "whole"};
	const all = [begin, ...own.filter((phase) => phase.at_us >= 0)];
	return all.map((phase, i) => ({
		phase: phase.phase,
		subsets: phase.subsets,
		from: Math.min(phase.at_us / 1000, window_ms),
		to: Math.min((all[i + 1]?.at_us ?? window_ms * 1000) / 1000, window_ms),
		fill: shadeOf(phase.phase),
	})).filter(({from, to}) => to > from);
}

function stripOf(changing, designs, map, window_ms, width) {
	const rows = changing.map((point, i) => ({
		top: i * 2 * STRIP + STRIP, bottom: (i + 1) * 2 * STRIP,
		name: designs.get(point.design), phases: phasesOf(point, map, window_ms),
	}));
	return {
		height: 2 * STRIP * rows.length,
		labels: rows.map(({name, top}) => ({from: 0, top: top - 3, text: `phases of ${name}, ${map}`})),
		phases: rows.flatMap(({top, bottom, phases}) => phases.map((phase) => {
			const room = width * (phase.to - phase.from) / window_ms - 6;
			const texts = [phase.subsets > 1 ? `${phase.phase}: ${phase.subsets} subsets` : phase.phase,
				phase.phase];
			return {...phase, top, bottom, middle: (phase.from + phase.to) / 2,
				y_middle: (top + bottom) / 2,
				text: texts.find((text) => textWidth(text, 11) <= room) ?? ""};
		})),
	};
}

// ---- the specification ----

function conditions(point, designs) {
	const {storm, course, walks, think_ns: think} = point;
	const said = [
		storm ? `${count(point.threads, "thread")} from ${storm.from_ms} to ${storm.to_ms} ms, ` +
			`${storm.quiet} before and after` : count(point.threads, "thread"),
		think === "recorded" ? "recorded think time" : think === undefined ? ""
			: `think time ${think} ns`,
		walks ? `${Number((100 * walks).toPrecision(3))} % walks` : "",
		`${point.population} intervals`,
		`slices of ${course.every_us} us`, `one run, seed ${course.seed}`,
	];
	return said.filter(Boolean);
}

// `options`: as tabulate has them, and title. Throws Fault for results that cannot be drawn.
export function courseSpecification(results, options) {
	const has = (point) => point?.valid && typeof point.course === "object" && point.course;
	if (Array.isArray(results?.results) && results.results.length && !results.results.some(has))
		throw new Fault("no valid point with a course: run with --every-us");
	const table = tabulate({...results, results: results?.results?.filter?.(has) ?? results?.results},
		options);
	if (table.panels.length !== 1)
		throw new Fault(`a course of one condition can be drawn, not of ${table.panels.length}`);
	const most = Math.max(...table.panels[0].points.map((point) => point.threads));
	const points = table.panels[0].points.filter((point) => point.threads === most);
	points.forEach(checkCourse);
	const {designs, machine, workload} = table, [first] = points;
	const window_ms = Math.max(...points.map((point) => point.course.window_ms));
	const map = mapOf(points);
	const changing = points.filter((point) => (point.phases ?? []).some((p) => p.map === map));
	const strip = stripOf(changing, designs, map, window_ms, TOTAL_WIDTH);
	const styles = stylesOf(table), key = keyRows(designs, TOTAL_WIDTH);
	const template = JSON.parse(readFileSync(TEMPLATE, "utf8"));
	const storm = first.storm ? [first.storm.from_ms, first.storm.to_ms] : [];

	const common = {
		title: options.title ?? `Over time: ${workload} on ${machine.name}` +
			(machine.simulated ? ", simulated" : ""),
		subtitle: [...fill([describeMachine(machine)], "; ", TOTAL_WIDTH, 12),
			...fill(conditions(first), "; ", TOTAL_WIDTH, 12)],
		width: TOTAL_WIDTH,
		ms_domain: [0, window_ms],
		designs: [...designs.keys()],
		colors: styles.map(([color]) => color),
		shapes: styles.map(([, shape]) => shape),
		phases: strip.phases, strip_height: strip.height, strip_labels: strip.labels,
		// Of several that change, the strip alone says when.
		bands: changing.length === 1 ? strip.phases.filter(({phase}) => phase !== "whole") : [],
		storm: storm.map((ms) => ({ms})),
		key: key.values, key_height: key.height,
	};
	const shown = PANELS.map((panel) => ({...panel, rows: rowsOf(panel, points)}))
		.filter(({rows}) => rows.some((row) => row.value !== null));
	const parts = shown.map((panel, i) => {
		const rows = panel.name === "memory" ? aboveTheLeast(panel.rows) : panel.rows;
		const axis = panel.axis(rows), is_last = i + 1 === shown.length;
		const names = Object.fromEntries(["band", "storm", "storm_label", "curve", "point"]
			.map((name) => [`${name}_name`, `${panel.name}_${name}`]));
		const values = {...common, ...names, name: panel.name, rows, height: panel.height,
			axis_title: panel.title, scale: axis.scale, ticks: axis.ticks, format: axis.format,
			interpolate: panel.name === "memory" ? "step" : "linear",
			ms_title: is_last ? "ms" : null, ms_labels: is_last,
			storm_labels: i === 0 ? storm.map((ms, k) => ({ms, text: k ? "storm ends" : "storm begins"})) : []};
		return substitute(template.panel, {...values,
			marks: panel.marks.map((name) => substitute(template[name], values))});
	});
	return substitute(template.whole, {...common, parts: [
		...(changing.length ? [substitute(template.strip, common)] : []), ...parts,
		substitute(template.key, common)]});
}
