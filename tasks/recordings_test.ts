/** Every recorded file is read without one frame that nobody can explain; what became of them is printed. */
import assert from "@std/assert";
import { openSource } from "../lib/source.ts";
import { isTick, TYPES } from "../lib/tick.ts";
import { openVenue } from "../lib/venue.ts";
import { type Capture, RECORDED, RECORDINGS } from "../testdata/recordings.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 } as const;
const never = new AbortController().signal;

/** Frames that say something broken: what they are is known, and why they give no tick. */
const BROKEN: Readonly<Record<string, number>> = {};

async function read({ venue: name, path }: Capture) {
  const venue = await openVenue(name);
  const kinds: Record<string, number> = {}, types: Record<string, number> = {};
  let frames = 0, notes = 0;
  await using source = await openSource(path, venue, "BTCUSDT", world);
  for await (const batch of source.read(0, never)) {
    notes += batch.notes;
    for (const { frame, receivedTime, symbol } of batch.frames) {
      frames++;
      const { kind, ticks } = venue.map(frame, receivedTime, symbol);
      kinds[kind] = (kinds[kind] ?? 0) + 1;
      for (const tick of ticks) {
        assert.ok(isTick(tick), JSON.stringify(tick).slice(0, 300));
        types[tick.type] = (types[tick.type] ?? 0) + 1;
      }
    }
  }
  return { frames, notes, kinds, types };
}

if (RECORDINGS === undefined) console.log("recordings are not tried, TAPEDECK_RECORDINGS names no folder");
for (const capture of RECORDED) {
  Deno.test(`${capture.name} holds no frame of ${capture.venue} that is unknown`, strict, async () => {
    const { frames, notes, kinds, types } = await read(capture);
    const shown = (counts: Readonly<Record<string, number>>, names: readonly string[]): string =>
      names.filter((name) => counts[name]).map((name) => `${name} ${counts[name]}`).join(", ");
    console.log(
      `| ${capture.name} | ${frames}${notes > 0 ? ` + ${notes} notes` : ""} | ${shown(types, TYPES)} | ${
        shown(kinds, Object.keys(kinds))
      } |`,
    );
    assert.ok(frames > 0);
    assert.equal(kinds.unknown ?? 0, 0);
    assert.equal(kinds.malformed ?? 0, BROKEN[capture.name] ?? 0);
  });
}
