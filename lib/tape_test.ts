import assert from "@std/assert";
import { Misuse, Refusal } from "./failure.ts";
import { assertSame, type Tape, Watch } from "./tape.ts";
import type { Topic } from "./transport.ts";

const tape: Tape = { raw: { identity: "log/1", partitions: 2 }, valid: { identity: "log/2", partitions: 2 } };
const refused = (says: RegExp) => (error: unknown) => error instanceof Refusal && says.test(error.message);

Deno.test("a tape whose topic was made again, or has other partitions, is refused with both and the way out", () => {
  assertSame("resume", tape, tape);
  assertSame("resume", {}, tape);
  const again = { ...tape, valid: { identity: "log/3", partitions: 2 } };
  assert.throws(() => assertSame("resume", tape, again), refused(/"valid" was deleted .*"log\/2" .*"log\/3" now/));
  const more = { ...tape, raw: { identity: "log/1", partitions: 4 } };
  assert.throws(
    () => assertSame("resume", tape, more),
    refused(
      /^Cannot resume: topic "raw" has 4 partitions and had 2, must .* drain .* another tape: deno task pipeline --fresh/,
    ),
  );
});

Deno.test("a watch refuses a topic that is gone, and leaves an outage to the stage", async () => {
  let answer: () => Promise<Topic> = () => Promise.resolve(tape.raw!);
  const watch = await Watch.begin("validate", ["raw"], () => answer());
  await watch.look();
  answer = () => Promise.reject(new Misuse("no such topic"));
  await assert.rejects(watch.look(), refused(/go on with validate: topic "raw" was deleted while it ran/));
  const away = new Error("away");
  answer = () => Promise.reject(away);
  await assert.rejects(watch.look(), (error: unknown) => error === away);
});
