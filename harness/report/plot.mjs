// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// usage: node plot.mjs '{"title": T, "machine": M, "workload": W, "designs": [D], "course": true}'
//	<RESULTS.json
// A picture of the results as SVG, to standard output. Each option may be missing. Errors are one
// line; exit status 2: these results cannot be drawn so.
import {readFileSync, writeSync} from "node:fs";
import {courseSpecification} from "./course.mjs";
import {specification, textWidth} from "./spec.mjs";
import {Fault} from "./table.mjs";

class Missing extends Error {}

async function load(name) {
	try {
		return await import(name);
	} catch (error) {
		if (error.code === "ERR_MODULE_NOT_FOUND")
			throw new Missing(`${name} is not installed: run ./setup plot`);
		throw error;
	}
}

async function draw(results, options) {
	const [vega, lite] = [await load("vega"), await load("vega-lite")];
	const spec = options.course ? courseSpecification(results, options)
		: specification(results, options);
	// Vega's guess of a text's width is half as much again as it is.
	vega.textMetrics.width = (item, text) => textWidth(`${text ?? ""}`, item.fontSize ?? 11);
	// A warning is a fault of the template, which tests are to see.
	const logger = vega.logger(vega.Warn, "error", (method, level, parts) => {
		throw new Error(parts.join(" "));
	});
	const view = new vega.View(vega.parse(lite.compile(spec, {logger}).spec),
		{renderer: "none", logger});
	const svg = await view.toSVG();
	view.finalize();
	return svg + "\n";
}

function write(text) {
	const bytes = Buffer.from(text);
	for (let at = 0; at < bytes.length;)
		at += writeSync(1, bytes, at);
}

try {
	write(await draw(JSON.parse(readFileSync(0, "utf8")), JSON.parse(process.argv[2] ?? "{}")));
} catch (error) {
	const what = error instanceof Fault || error instanceof Missing ? error.message : error.stack;
	console.error(`cleave: ${what.replace(/\s+/g, " ")}`);
	process.exitCode = error instanceof Fault ? 2 : 1;
}
