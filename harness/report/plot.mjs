// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// usage: node plot.mjs RESULTS.json [JSON of options]: a picture of the results as SVG, to standard
// output. Options: title, machine, workload, designs (an array). Errors are one line, exit status 2.
import {readFileSync, writeSync} from "node:fs";
import {specification, textWidth} from "./spec.mjs";
import {Fault} from "./table.mjs";

const MISSING = "not installed: run ./setup plot";

async function load(name) {
	try {
		return await import(name);
	} catch (error) {
		if (error.code === "ERR_MODULE_NOT_FOUND")
			throw new Fault(`${name} is ${MISSING}`);
		throw error;
	}
}

async function draw(path, options) {
	const [vega, lite] = [await load("vega"), await load("vega-lite")];
	let results;
	try {
		results = JSON.parse(readFileSync(path, "utf8"));
	} catch (error) {
		throw new Fault(error instanceof SyntaxError ? "not JSON" : error.message);
	}
	const spec = specification(results, options);
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

const [path, options = "{}"] = process.argv.slice(2);
try {
	write(await draw(path, JSON.parse(options)));
} catch (error) {
	console.error(`cleave: plot: ${error.message.replace(/\s+/g, " ")}` +
		(error instanceof Fault && !error.message.endsWith(MISSING) ? `: ${path}` : ""));
	process.exitCode = error instanceof Fault && !error.message.endsWith(MISSING) ? 2 : 1;
}
