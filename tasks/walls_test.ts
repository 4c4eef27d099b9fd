import assert from "@std/assert";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import plugin, { KNOWS, PACKAGES, POWERS } from "./walls.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** What the walls say of `source` as the file at `path`. */
function said(path: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, ROOT + path, source).map(({ id, message }) => `${id}: ${message}`);
}

function* filesUnder(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(ROOT + folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* filesUnder(path);
    else if (path.endsWith(".ts")) yield path;
  }
}

Deno.test("every file of the house stands within its walls", options, () => {
  let files = 0;
  const findings = ["lib", "cmd", "tasks"].flatMap((folder) =>
    [...filesUnder(folder)].flatMap((path) => {
      files++;
      return said(path, Deno.readTextFileSync(ROOT + path)).map((finding) => `${path}: ${finding}`);
    })
  );
  assert.deepEqual(findings, []);
  assert.ok(files > 20);
});

Deno.test("a room that imports whom it may not know is told both names", options, () => {
  assert.deepEqual(said("lib/decimal.ts", 'import { keyOf } from "./tick.ts";'), [
    'walls/rooms: Cannot import "./tick.ts": room "decimal" may not know room "tick", must be in its row of KNOWS in tasks/walls.ts',
  ]);
});

Deno.test("a wall holds for every way of importing", options, () => {
  for (
    const source of [
      'import "../stage.ts";',
      'import type { Stage } from "../stage.ts";',
      'import * as stage from "../stage.ts";',
      'export { work } from "../stage.ts";',
      'export * from "../stage.ts";',
      'await import("../stage.ts");',
      "await import(`../stage/${name}.ts`);",
    ]
  ) assert.match(said("lib/transport/log.ts", source).join(), /room "transport" may not know room "stage"/, source);
});

Deno.test("commands never know each other, and lib knows neither commands nor tasks", options, () => {
  assert.match(said("cmd/audit.ts", 'import "./validate.ts";').join(), /it is a command, must be imported by tasks/);
  assert.match(said("cmd/audit.ts", 'import "./validate/rules.ts";').join(), /it is a command/);
  assert.deepEqual(said("cmd/audit.ts", 'import "./audit/history.ts";'), []);
  assert.match(said("lib/stage.ts", 'import "../cmd/validate.ts";').join(), /it is a command/);
  assert.match(said("lib/stage.ts", 'import "../tasks/walls.ts";').join(), /it lies outside of lib and cmd/);
  assert.match(said("lib/stage.ts", 'import "./tick_test.ts";').join(), /it is a test/);
  assert.deepEqual(said("cmd/audit.ts", 'import "../lib/stage.ts"; import "../lib/crew.ts";'), []);
});

Deno.test("nobody may know whom it does not import", options, () => {
  const roomOf = (path: string): string => /^lib\/([^/.]+)/.exec(path)![1]!;
  const used = new Map(Object.keys(KNOWS).map((room) => [room, new Set<string>()]));
  for (const path of filesUnder("lib")) {
    if (path.endsWith("_test.ts")) continue;
    const text = Deno.readTextFileSync(ROOT + path);
    for (const [, specifier] of text.matchAll(/(?:from |import |import\()["`](\.[^"`$]*)/g)) {
      used.get(roomOf(path))!.add(roomOf(posix.join(posix.dirname(path), specifier!)));
    }
  }
  const idle = Object.entries(KNOWS).flatMap(([room, known]) =>
    known.filter((name) => !used.get(room)!.has(name)).map((name) => `${room} may know ${name}`)
  );
  assert.deepEqual(idle, []);
});

Deno.test("a room without a row is found", options, () => {
  assert.deepEqual(said("lib/attic.ts", "export const dust = 1;"), [
    'walls/rooms: Cannot place room "attic": no row names it, must be in KNOWS in tasks/walls.ts',
  ]);
});

Deno.test("a package is used in its own file alone, whatever its specifier looks like", options, () => {
  for (const specifier of ["kafkajs", "npm:kafkajs", "npm:kafkajs@2.2.4", "npm:/kafkajs@2/index.js", "kafkajs/src"]) {
    assert.match(said("cmd/audit.ts", `import "${specifier}";`).join(), /package "kafkajs" belongs to lib\/transport/);
    assert.deepEqual(said("lib/transport/kafka.ts", `import "${specifier}";`), []);
  }
  assert.match(said("lib/lake.ts", 'import "@duckdb/duckdb-wasm/blocking";').join(), /belongs to lib\/parquet,/);
  assert.match(said("lib/hot/postgres.ts", 'import "node:sqlite";').join(), /belongs to lib\/hot\/sqlite\.ts/);
  assert.deepEqual(said("lib/tick.ts", 'import "@zod/zod"; import "postgres-array"; import "node:path";'), []);
});

Deno.test("each power is held by the rooms that the table names, and by nobody else", options, () => {
  for (const [power, holders] of Object.entries(POWERS)) {
    const source = power === "new Date()" ? power : `${power}();`;
    for (const room of Object.keys(KNOWS)) {
      const found = said(`lib/${room}.ts`, source).length;
      assert.equal(found, holders.includes(room) ? 0 : 1, `${power} in ${room}`);
    }
    assert.equal(said("cmd/audit.ts", source).length, 1, power);
    assert.deepEqual(said("tasks/storm.ts", source), []);
    assert.deepEqual(said("lib/tick_test.ts", source), []);
  }
});

Deno.test("a power is known under every name that it goes by", options, () => {
  const planted = {
    "Date.now()": "Date.now",
    "const clock = Date.now;": "Date.now",
    'Deno["env"].get("HOME")': "Deno.env",
    "globalThis.Deno.exit(1)": "Deno.exit",
    "const { random } = Math;": "Math.random",
    'import { env } from "node:process";': "process.env",
    'import { randomUUID as name } from "node:crypto";': "crypto.randomUUID",
    "Date()": "new Date()",
  };
  for (const [source, power] of Object.entries(planted)) {
    const [finding, ...more] = said("lib/tick.ts", source);
    assert.deepEqual(more, [], source);
    assert.ok(finding?.startsWith(`walls/powers: Cannot use "${power}": `), `${source} ${finding}`);
  }
});

Deno.test("what only looks like a power is let pass", options, () => {
  const harmless = `
    new Date(0); new Date(micros / 1000); Date.UTC(2024, 1); world.now(); world.env("X"); plan.exit; Math.floor(1);
    Deno.open("x"); const { env } = world; let file: Deno.FsFile; import { createHash } from "node:crypto";`;
  assert.deepEqual(said("lib/tick.ts", harmless), []);
});

Deno.test("the table names rooms of the table alone, and ground that knows nobody", options, () => {
  for (const [room, known] of Object.entries(KNOWS)) {
    for (const other of known) assert.ok(Object.hasOwn(KNOWS, other), `${room} knows ${other}`);
    assert.ok(!known.includes(room), room);
    assert.equal(new Set(known).size, known.length, room);
  }
  for (const ground of ["failure", "world", "decimal", "meter"]) assert.deepEqual(KNOWS[ground], []);
  for (const holders of Object.values(POWERS)) assert.ok(holders.every((room) => Object.hasOwn(KNOWS, room)));
  for (const file of Object.values(PACKAGES).flat()) assert.match(file, /^lib\//);
});
