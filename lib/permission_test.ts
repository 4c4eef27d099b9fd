import assert from "@std/assert";
import { resolve } from "node:path";
import doctor from "../cmd/doctor.ts";
import validate from "../cmd/validate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import { foldersOf, permissionsOf, variablesOf } from "./permission.ts";
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

Deno.test("an embedded hot store is its file and nothing beside it, in a folder that is made for it", () => {
  for (const hot of ["sqlite:/tmp/tape/hot.db", "sqlite:/tmp/tape/../tape/hot.db"]) {
    const embedded = { ...setting, hot };
    const granted = permissionsOf(sinkHot, embedded);
    assert.deepEqual([granted.read, granted.write], [["/tmp/tape/log", "/tmp/tape/hot.db"], [
      "/tmp/tape/log",
      "/tmp/tape/hot.db",
    ]]);
    assert.deepEqual(foldersOf(sinkHot, embedded), ["/tmp/tape/log", "/tmp/tape"]);
  }
  assert.deepEqual(permissionsOf(sinkHot, { ...setting, hot: "sqlite:hot.db" }).write, [
    "/tmp/tape/log",
    resolve("hot.db"),
  ]);
  assert.deepEqual(foldersOf(sinkCold, { ...setting, hot: "sqlite:/tmp/tape/hot.db" }), [
    "/tmp/tape/log",
    "/tmp/tape/lake",
  ]);
});

Deno.test("the doctor may look at every door and the room on their disks, and write nothing", () => {
  const granted = permissionsOf(doctor, setting);
  assert.deepEqual(granted.net, ["db.example:5433"]);
  assert.deepEqual(granted.write, []);
  assert.deepEqual([granted.sys, granted.run, granted.ffi], [["cpus", "statfs", "uid"], false, false]);
  assert.deepEqual(permissionsOf(sinkCold, setting).sys, ["cpus"]);
});

Deno.test("a stage on Kafka is given its brokers and no environment, and a door's secret goes to whoever has the door", () => {
  const onKafka = { ...setting, transport: "kafka://user:p%40ss@one,two:9093?sasl=plain" };
  const granted = permissionsOf(validate, onKafka);
  assert.deepEqual([granted.net, granted.env, granted.write], [["one:9092", "two:9093"], false, []]);
  const kafka = ["TAPEDECK_KAFKA_USER", "TAPEDECK_KAFKA_PASSWORD"];
  assert.deepEqual(variablesOf(validate, onKafka), kafka);
  assert.deepEqual(variablesOf(sinkHot, onKafka), [...kafka, "TAPEDECK_POSTGRES_PASSWORD"]);
  assert.deepEqual(variablesOf(sinkHot, { ...setting, hot: "sqlite:/tmp/hot.db" }), []);
});

Deno.test("a URL that names no host grants none, whatever its password holds", () => {
  const netOf = (hot: string) => permissionsOf(sinkHot, { ...setting, hot }).net;
  assert.deepEqual(netOf("postgres://u:pa/s?s@h@db.example/market"), ["db.example:5432"]);
  assert.deepEqual(netOf("postgres://u@[::1]/market"), ["[::1]:5432"]);
  assert.deepEqual(netOf("postgres://u@localhost/market"), ["localhost:5432", "127.0.0.1:5432", "[::1]:5432"]);
  for (
    const url of ["postgres://", "postgres://u:secret/market", "postgres://u@[::1/market", "postgres://u@h:99999/m"]
  ) {
    assert.deepEqual(netOf(url), [], url);
  }
});
