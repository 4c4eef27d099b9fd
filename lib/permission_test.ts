import assert from "@std/assert";
import doctor from "../cmd/doctor.ts";
import validate from "../cmd/validate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import { permissionsOf } from "./permission.ts";
import type { Setting } from "./stage.ts";

const setting: Setting = {
  transport: "log:/tmp/tape/log?fsync=batch",
  to: null,
  hot: "postgres://user:secret@db.example:5433/market",
  lake: "file:/tmp/tape/lake",
  partitions: 4,
  create: false,
  retryForMs: 0,
  values: {},
  env: {},
};

Deno.test("a stage is given its own log, and no store, host, process or library that it does not need", () => {
  const granted = permissionsOf(validate, setting);
  assert.deepEqual([granted.read, granted.write], [["/tmp/tape/log"], ["/tmp/tape/log"]]);
  assert.deepEqual([granted.net, granted.env, granted.sys, granted.run, granted.ffi], [[], false, [], false, false]);
});

Deno.test("each sink is given its own store and not the other's", () => {
  const hot = permissionsOf(sinkHot, setting);
  assert.deepEqual(hot.net, ["db.example:5433"]);
  assert.deepEqual(hot.write, ["/tmp/tape/log"]);
  const cold = permissionsOf(sinkCold, setting);
  assert.deepEqual(cold.net, []);
  assert.deepEqual(cold.write, ["/tmp/tape/log", "/tmp/tape/lake"]);
});

Deno.test("the doctor is given every door, and beside them nothing but the room on their disks", () => {
  const granted = permissionsOf(doctor, setting);
  assert.deepEqual(granted.net, ["db.example:5433"]);
  assert.deepEqual(granted.write, ["/tmp/tape/log", "/tmp/tape/lake"]);
  assert.deepEqual([granted.sys, granted.run, granted.ffi], [["cpus", "statfs"], false, false]);
  assert.deepEqual(permissionsOf(sinkCold, setting).sys, ["cpus"]);
});

Deno.test("a Worker with these permissions cannot read, write, connect or spawn elsewhere", async () => {
  const program = `
    const refused = async (act) => { try { await act(); return "done"; } catch (error) { return error.name; } };
    postMessage(await Promise.all([
      refused(() => Deno.readTextFile("/etc/hostname")),
      refused(() => Deno.writeTextFile("/tmp/elsewhere", "")),
      refused(() => Deno.connect({ hostname: "127.0.0.1", port: 9 })),
      refused(() => new Deno.Command("true").output()),
      refused(() => Promise.resolve(Deno.env.get("HOME"))),
    ]));
    self.close();`;
  const url = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module", deno: { permissions: permissionsOf(validate, setting) } });
  const { promise, resolve } = Promise.withResolvers<unknown>();
  worker.onmessage = ({ data }) => resolve(data);
  assert.deepEqual(await promise, Array(5).fill("NotCapable"));
  worker.terminate();
  URL.revokeObjectURL(url);
});
