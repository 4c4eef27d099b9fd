import assert from "@std/assert";
import { Refusal } from "./failure.ts";
import { Fence, startOf, type Store, validOf } from "./fence.ts";
import { openHot } from "./hot.ts";
import type { World } from "./world.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const place = { sink: "sink-hot", topic: "ticks.valid", partition: 1 };
const world: World = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
let stores = 0;
const store = (): Promise<Store> => openHot(`memory:fence-${stores++}`, world);
/** What a refusal says of the place, and what it wants. */
const refused = (says: RegExp) => (error: unknown) => error instanceof Refusal && says.test(error.message);

Deno.test("a fence lets each origin pass once and counts what came again", () => {
  const fence = new Fence(place, -1);
  const passed = [[3, -1], [5, 3], [3, -1], [5, 3], [9, 5]].filter(([origin, previous]) =>
    fence.admits(origin!, previous!)
  );
  assert.deepEqual(passed, [[3, -1], [5, 3], [9, 5]]);
  assert.deepEqual([fence.repeats, fence.last], [2, 9]);
});

Deno.test("a fence stops at a message whose predecessor it has not seen", () => {
  const fence = new Fence(place, 3);
  for (const previous of [-1, 2, 4]) {
    assert.throws(() => fence.admits(5, previous), refused(/origin 5 of "ticks.valid\/1".*the last one applied is 3/));
  }
  assert.equal(fence.last, 3);
});

Deno.test("a store that knows nothing begins where the log begins, or behind what it gives up", strict, async () => {
  assert.equal((await startOf(await store(), place, "log", { low: 0, high: 9 }, false)).held.next, 0);
  const late = await store();
  await assert.rejects(
    startOf(late, place, "log", { low: 4, high: 9 }, false),
    refused(
      /records 0 to 3 were deleted before they were applied, must .* be given up with deno task sink-hot --accept-gap$/,
    ),
  );
  assert.deepEqual(await late.holdings(), []);
  assert.equal((await startOf(late, place, "log", { low: 4, high: 9 }, true)).held.next, 4);
  assert.deepEqual(await late.gaps(), [{ ...place, first: 0, last: 3, at: 0 }]);
});

Deno.test(
  "behind a gap the first message applied, and no other, may follow one that was lost in it",
  strict,
  async () => {
    const hot = await openHot(`memory:fence-${stores++}`, world);
    const held = await hot.begin(place, "log", 0);
    await hot.apply({ held, next: 5, origin: 4, rows: {} });
    const start = () => startOf(hot, place, "log", { low: 7, high: 9 }, true);
    assert.ok((await start()).fence.admits(9, 8));
    // A fall before the first commit comes back to the same place.
    const { held: again, fence } = await start();
    assert.deepEqual([again.next, again.origin], [7, 4]);
    assert.equal((await hot.gaps()).length, 1);
    assert.ok(fence.admits(9, 8));
    assert.throws(() => fence.admits(11, 10), refused(/follows origin 10 and the last one applied is 9/));
    // The gap may end within a run of repeats that a zombie wrote.
    const { fence: repeated } = await start();
    assert.deepEqual([repeated.admits(3, 2), repeated.admits(4, 3), repeated.isBehindGap], [false, false, true]);
    assert.throws(() => repeated.admits(9, 3), refused(/follows origin 3 and the last one applied is 4/));
    assert.ok(repeated.admits(9, 8));
    assert.ok(!repeated.isBehindGap);
    assert.throws(() => repeated.admits(11, 10), refused(/follows origin 10 and the last one applied is 9/));
    await hot.apply({ held: { ...again, epoch: again.epoch + 1 }, next: 8, origin: 9, rows: {} });
    const { fence: beyond } = await start();
    assert.throws(() => beyond.admits(11, 10), refused(/follows origin 10/));
  },
);

Deno.test("a store goes on only in its own log, and only where that still holds what comes next", strict, async () => {
  const hot = await openHot(`memory:fence-${stores++}`, world);
  const held = await hot.begin(place, "log", 0);
  await hot.apply({ held, next: 5, origin: 4, rows: {} });
  const start = (identity: string, low: number, high: number) => startOf(hot, place, identity, { low, high }, false);
  await assert.rejects(start("other", 0, 9), refused(/fed from log "log" and this is "other"/));
  await assert.rejects(start("log", 6, 9), refused(/records 5 to 5 were deleted before they were applied/));
  await assert.rejects(start("log", 0, 4), refused(/applied up to 5 but the log ends at 4/));
  // Whoever held it is not fenced by a start that was refused.
  assert.deepEqual((await hot.holdings()).map(({ epoch }) => epoch), [held.epoch]);
  const { held: resumed } = await start("log", 5, 5);
  assert.deepEqual([resumed.next, resumed.origin, resumed.epoch], [5, 4, held.epoch + 1]);
});

Deno.test("a store that another one began or moved while it was looked at is looked at again", strict, async () => {
  for (
    const [identity, next, says] of [["other", 0, /fed from log "other"/], ["log", 12, /applied up to 12 but/]] as const
  ) {
    const hot = await openHot(`memory:fence-${stores++}`, world);
    const holdings = async () => {
      const seen = await hot.holdings();
      const held = await hot.begin(place, identity, 0);
      await hot.apply({ held, next, origin: next - 1, rows: {} });
      return seen;
    };
    const busy: Store = new Proxy(hot, {
      get: (hot, name: keyof Store) => name === "holdings" ? holdings : hot[name].bind(hot),
    });
    await assert.rejects(startOf(busy, place, "log", { low: 0, high: 9 }, false), refused(says));
  }
});

Deno.test("a message without a readable origin is refused by its place", () => {
  const at = { topic: "ticks.valid", partition: 1 };
  for (const value of ["", "{}", "null", '{"origin":1.5,"previous":0}', '{"origin":1}', new Uint8Array([123, 125])]) {
    assert.throws(() => validOf({ offset: 7, key: null, value }, at), refused(/"ticks.valid\/1\/7"/));
  }
});
