// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The Vega-Lite specification of a picture: throughput.vl.json with its "@names" filled in. What
// shows it, here or in a browser, needs nothing else.
import {readFileSync} from "node:fs";
import {drawn, highOf, lowOf, tabulate} from "./table.mjs";

const TEMPLATE = new URL("throughput.vl.json", import.meta.url);
export const TOTAL_WIDTH = 752; // of the panels; with axes and padding some 830, a README's width

// Colours of Okabe and Ito, which the colour-blind tell apart, without the yellow that is hard to
// see on white. Shape and dashes tell the lines apart without them.
const BLACK = "#000000", BLUE = "#0072b2", RED = "#d55e00", GREEN = "#009e73", SKY = "#56b4e9",
	PINK = "#cc79a7", ORANGE = "#e69f00", GREY = "#7a7a7a";
const STAR = "M0,-1L.28,-.39L.95,-.31L.45,.15L.59,.81L0,.48L-.59,.81L-.45,.15L-.95,-.31L-.28,-.39Z";
const HEXAGON = "M-.8,0L-.4,-.7L.4,-.7L.8,0L.4,.7L-.4,.7Z";
const BAR = "M-.3,-1L.3,-1L.3,1L-.3,1Z";
const BEAM = "M-1,-.3L1,-.3L1,.3L-1,.3Z";
const STYLES = [
	[BLACK, "circle", [1, 0]],
	[BLUE, "square", [7, 3]],
	[RED, "triangle-up", [2, 2]],
	[GREEN, "diamond", [1, 0]],
	[PINK, "triangle-down", [7, 3]],
	[ORANGE, "cross", [12, 3]],
	[SKY, "triangle-right", [9, 2, 2, 2]],
	[GREY, "triangle-left", [4, 2]],
	[BLUE, STAR, [2, 2]],
	[RED, HEXAGON, [1, 0]],
	[GREEN, BAR, [9, 2, 2, 2]],
	[PINK, BEAM, [4, 2]],
];

// A design looks the same whichever are drawn with it, as far as there are styles for all: those
// run by name come first.
export function stylesOf({designs, all}) {
	const order = [...all.filter(([design, name]) => name !== design),
		...all.filter(([design, name]) => name === design)].map(([design]) => design);
	const own = (design) => order.indexOf(design);
	const free = STYLES.map((_, i) => i).filter((i) => !designs.has(order[i]));
	return [...designs.keys()].map((design) =>
		STYLES[own(design) < STYLES.length ? own(design) : free.shift()]);
}

// ---- text ----

// Width in ems of Arial and of what has its metrics, to some 5 %: a layout that is worked out
// without a font, so that it is the same everywhere.
export function textWidth(text, size) {
	let ems = 0;
	for (const c of text)
		ems += /[ijl|'.,:;!]/.test(c) ? 0.25 : /[ ftrI\/()\[\]-]/.test(c) ? 0.31
			: /[mwMW@%]/.test(c) ? 0.86 : /[A-Z]/.test(c) ? 0.69 : 0.55;
	return ems * size;
}

// Parts, put into lines and separated within them.
export function fill(parts, separator, width, size) {
	const lines = [];
	for (const part of parts) {
		const longer = lines.length ? lines[lines.length - 1] + separator + part : part;
		if (lines.length && textWidth(longer, size) <= width)
			lines[lines.length - 1] = longer;
		else
			lines.push(part);
	}
	return lines;
}

export const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

export function describeMachine({name, simulated, about}) {
	if (!about)
		return simulated ? `simulated machine ${name}, not measured` : `measured on ${name}`;
	const size = [["node", about.nodes], ["socket", about.packages], ["CPU", about.cpus]]
		.filter(([, n]) => Number.isInteger(n)).map(([what, n]) => count(n, what)).join(", ");
	const model = [about.model_revision === undefined ? "" : `model revision ${about.model_revision}`,
		about.model_digest ?? ""].filter(Boolean).join(", ");
	if (simulated)
		return `simulated machine, not measured: ${name}${model && ` (${model})`}: ${size}`;
	return `measured on ${name}: ${about.processor ? about.processor + ", " : ""}${size}`;
}

// What the marks mean, and what is not there.
function describeMarks(table) {
	const points = table.panels.flatMap((panel) => panel.points);
	const shown = points.filter(drawn);
	const least = Math.min(...shown.map((p) => p.ops_per_s.confidence ?? 0));
	const invalid = points.filter((p) => !p.valid).length;
	const still = points.length - invalid - shown.length;
	const labels = [...new Set(shown.map((p) => p.label).filter(Boolean))];
	const bars = least > 0 ? `${Math.min(95, Math.floor(100 * least + 1e-9))} % interval` : "range";
	const parts = shown.some((p) => p.ops_per_s.low !== undefined)
		? [`median of repetitions, bars: ${bars}`] : ["one repetition: no interval"];
	const meaning = { short: "short, still uncertain", oversubscribed: "oversubscribed, not to be ranked" };
	if (labels.length)
		parts.push(`hollow: ${labels.map((label) => meaning[label] ?? label).join(" or ")}`);
	if (invalid)
		parts.push(`${count(invalid, "point")} not valid and not drawn`);
	if (still)
		parts.push(`${count(still, "point")} at 0 not drawn`);
	if (table.all.length > table.designs.size)
		parts.push(`${table.designs.size} of ${table.all.length} designs`);
	return parts;
}

// ---- axes ----

// Those that have room for their label, the last before the others.
function thin(values, place, room) {
	const kept = [];
	for (const value of [...values].reverse()) {
		if (kept.every((other) => Math.abs(place(other) - place(value)) >= room))
			kept.unshift(value);
	}
	return kept;
}

// Powers of ten; where these are fewer than two, with 2 and 5 times them, and if need be the ends.
export function rateTicks([low, high]) {
	for (const steps of [[1], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]]) {
		const ticks = [];
		for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
			ticks.push(...steps.map((step) => Number((step * 10 ** e).toPrecision(3))));
		const within = ticks.filter((tick) => tick >= low && tick <= high);
		if (within.length >= 2)
			return within;
	}
	return [low, high].map((x) => Number(x.toPrecision(3)));
}

// ---- rows ----

// How far from the middle of its rule a label goes so that it meets no other; undefined: there is
// no room. `taken`: ends of the labels that are there, to which it is added.
function labelShift(at, text, taken) {
	const half = textWidth(text, 11) / 2;
	for (const shift of [0, half - 4, 4 - half]) {
		const [left, right] = [at + shift - half, at + shift + half];
		if (!taken.every(([its_left, its_right]) => right + 5 < its_left || left > its_right + 5))
			continue;
		taken.push([left, right]);
		return shift;
	}
	return undefined;
}

// Rules between the last thread of one unit and the first of the next; labels where there is room.
function edgeRows(panel, about, place, first, last) {
	const boundaries = about?.boundaries;
	if (!boundaries || boundaries.placement !== panel.placement)
		return [];
	const all = [
		...(boundaries.packages ?? []).map((n, i) => [n, i ? "" : "2nd socket", "#8c8c8c", [1, 0]]),
		...(boundaries.siblings ? [[boundaries.siblings, "SMT", "#8c8c8c", [2, 3]]] : []),
		...(boundaries.nodes ?? []).map((n, i) =>
			[n, i ? "" : "2nd node", i ? "#ededed" : "#c4c4c4", [1, 0]]),
	].filter(([n]) => Number.isInteger(n) && n > first && n <= last);
	const rows = new Map(), taken = [];
	for (const [n, label, shade, dash] of all) {
		if (rows.has(n))
			continue;
		const shift = label ? labelShift(place(n - 0.5), label, taken) : undefined;
		rows.set(n, {kind: "edge", panel: panel.title, threads: n - 0.5, shade, dash,
			text: shift === undefined ? "" : label, shift: shift ?? 0});
	}
	// Light ones first, so that they are below.
	return [...rows.values()].reverse();
}

function pointRow(point, panel, designs, floor) {
	const row = {kind: "point", panel: panel.title, design: point.design,
		name: designs.get(point.design), threads: point.threads, label: point.label ?? ""};
	if (!drawn(point))
		return {...row, rate: null, low: null, high: null};
	const rate = point.ops_per_s;
	return {...row, rate: rate.median, low: Math.max(lowOf(rate), floor), high: highOf(rate)};
}

// The key, in columns as wide as the longest name needs.
export function keyRows(designs, width) {
	const names = [...designs.values()];
	const needed = 48 + 8 + 22 + Math.max(...names.map((name) => textWidth(name, 12)));
	const columns = Math.max(1, Math.min(names.length, Math.floor((width + 22) / needed)));
	const rows = Math.ceil(names.length / columns);
	const column = Math.min(width / columns, needed + 30);
	return {height: rows * 20, values: [...designs].map(([design, name], i) => {
		const x = Math.floor(i / rows) * Math.floor(column);
		return {design, name, x, x2: x + 44, middle: x + 22, y: (i % rows) * 20 + 10};
	})};
}

// ---- the specification ----

export function substitute(node, values) {
	if (typeof node === "string" && node.startsWith("@")) {
		if (!(node.slice(1) in values))
			throw new Error(`unknown name in a template: ${node}`);
		return values[node.slice(1)];
	}
	if (Array.isArray(node))
		return node.map((item) => substitute(item, values));
	if (typeof node === "object" && node !== null)
		return Object.fromEntries(Object.entries(node).map(([k, v]) => [k, substitute(v, values)]));
	return node;
}

// `options`: as tabulate has them, and title. Throws Fault for results that cannot be drawn.
export function specification(results, options) {
	const table = tabulate(results, options);
	const {panels, designs, machine, workload} = table;
	const columns = Math.min(2, panels.length);
	const width = Math.floor((TOTAL_WIDTH - 22 * (columns - 1)) / columns);

	const shown = panels.flatMap((panel) => panel.points).filter(drawn);
	const threads = [...new Set(shown.map((p) => p.threads))].sort((a, b) => a - b);
	const domain = [threads[0] / 1.2, threads[threads.length - 1] * 1.2];
	const place = (n) => width * Math.log(n / domain[0]) / Math.log(domain[1] / domain[0]);
	const least = Math.min(...shown.map(({ops_per_s: r}) => lowOf(r) > 0 ? lowOf(r) : r.median));
	const rates = [least / 1.3, Math.max(...shown.map((p) => highOf(p.ops_per_s))) * 1.3];

	const placements = [...new Set(panels.map((panel) => panel.placement))];
	const styles = stylesOf(table);
	const key = keyRows(designs, TOTAL_WIDTH);
	const values = {
		title: options.title ?? `Throughput against CPUs: ${workload} on ${machine.name}` +
			(machine.simulated ? ", simulated" : ""),
		subtitle: [...fill([describeMachine(machine)], "; ", TOTAL_WIDTH, 12),
			...fill(describeMarks(table), "; ", TOTAL_WIDTH, 12)],
		points: panels.flatMap((panel) => [
			...edgeRows(panel, machine.about, place, threads[0], threads[threads.length - 1]),
			...panel.points.map((point) => pointRow(point, panel, designs, rates[0]))]),
		panels: panels.map((panel) => panel.title),
		width, height: columns === 1 ? 380 : 320,
		threads_domain: domain,
		threads_title: "CPUs, a thread on each" +
			(placements.length === 1 && /^[a-z]/.test(placements[0]) ? `, ${placements[0]}` : ""),
		threads_ticks: thin(threads, place, 24),
		rate_domain: rates,
		rate_ticks: rateTicks(rates),
		designs: [...designs.keys()],
		colors: styles.map(([color]) => color),
		shapes: styles.map(([, shape]) => shape),
		dashes: styles.map(([, , dash]) => dash),
		key: key.values,
		key_width: TOTAL_WIDTH,
		key_height: key.height,
	};
	return substitute(JSON.parse(readFileSync(TEMPLATE, "utf8")), values);
}
