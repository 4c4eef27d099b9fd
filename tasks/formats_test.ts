/**
 * Tapes of every format version that was ever written: `testdata/formats/<version>` is never made anew. This program reads
 * them, proves them and goes on with them; what a newer program has written it refuses.
 */
import assert from "@std/assert";
import { cp } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import audit from "../cmd/audit.ts";
import simulate from "../cmd/simulate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import validate from "../cmd/validate.ts";
import { Refusal } from "../lib/failure.ts";
import { sha256 } from "../lib/lake/file/ledger.ts";
import { warm } from "../lib/parquet.ts";
import type { Outcome, Stage } from "../lib/stage.ts";
import { flow, run, withData } from "../testdata/flow.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const FORMATS = new URL("../testdata/formats/", import.meta.url).pathname;
const VERSIONS = [...Deno.readDirSync(FORMATS)].map(({ name }) => name).sort();
// The engine opens a message port for good, which the first test would be blamed for.
await warm();

const rawOf = ({ findings, books }: Outcome): number => {
  assert.deepEqual(findings, []);
  return (books as { readonly raw: number }[]).reduce((sum, { raw }) => sum + raw, 0);
};

/** A copy of a version's tape. */
async function withTape(version: string, use: (data: string) => Promise<void>): Promise<void> {
  await withData(async (data) => {
    await cp(`${FORMATS}${version}`, data, { recursive: true });
    await use(data);
  });
}

for (const version of VERSIONS) {
  Deno.test(`a tape of format ${version} is proven, and gone on with`, strict, () =>
    withTape(version, async (data) => {
      const before = rawOf(await run(audit, data));
      assert.ok(before > 100);
      await run(simulate, data, "--ticks", "100", "--symbols", String(SYMBOLS[version]));
      await flow(data);
      assert.ok(rawOf(await run(audit, data)) >= before + 99);
    }));
}
/** Instruments of the market that a version's tape holds: the simulator goes on with the same ones alone. */
const SYMBOLS: Readonly<Record<string, number>> = { "1": 30, "2": 30, "3": 30 };

const NEWEST = VERSIONS.at(-1)!;
/** What makes a part of a tape newer, and the stage that must refuse it besides the audit. */
const newer: Readonly<Record<string, { readonly raise: (data: string) => Promise<void>; readonly stage?: Stage }>> = {
  log: { raise: (data) => edit(`${data}/log/log.json`, formatted) },
  topic: { raise: (data) => edit(`${data}/log/ticks.raw/topic.json`, formatted) },
  "hot store": {
    raise: (data) => {
      const db = new DatabaseSync(`${data}/hot.db`);
      db.exec("pragma user_version = 99");
      db.close();
      return Promise.resolve();
    },
  },
  "state of validate": {
    stage: validate,
    raise: (data) =>
      edit(`${data}/log/checkpoint/validate-0.json`, (text) => {
        const { state, ...rest } = JSON.parse(text);
        return JSON.stringify({ ...rest, state: JSON.stringify({ ...JSON.parse(state), format: 99, more: 1 }) });
      }),
  },
  ledger: {
    stage: sinkCold,
    raise: (data) =>
      edit(`${data}/lake/_ledger/ticks.valid-0.ledger`, (text) => {
        const last = text.trimEnd().split("\n").at(-1)!.slice("00000000 00000000 ".length);
        const owner = JSON.stringify({
          kind: "owner",
          format: 99,
          more: 1,
          prev: sha256(new TextEncoder().encode(last)),
        });
        const crc = crc32(owner).toString(16).padStart(8, "0");
        return `${text}${String(owner.length).padStart(8, "0")} ${crc} ${owner}\n`;
      }),
  },
};
const formatted = (text: string): string => text.replace(/"format":\d+/, '"format":99');

for (const [what, { raise, stage }] of Object.entries(newer)) {
  Deno.test(
    `a ${what} of a newer format is refused, and left as it is`,
    strict,
    () =>
      withTape(NEWEST, async (data) => {
        await raise(data);
        for (const each of [audit, ...(stage === undefined ? [] : [stage])]) {
          await assert.rejects(run(each, data), (error: Error) => {
            assert.ok(error instanceof Refusal, String(error));
            assert.match(error.message, /^Cannot open .* (is|version) 99, must be at most \d/);
            return true;
          });
        }
      }),
  );
}

async function edit(path: string, by: (text: string) => string): Promise<void> {
  const text = await Deno.readTextFile(path);
  const other = by(text);
  assert.notEqual(other, text);
  await Deno.writeTextFile(path, other);
}
