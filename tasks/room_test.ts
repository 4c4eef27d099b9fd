/** The flow as processes on a disk that gets full, and gets room again. */
import assert from "@std/assert";
import { onDisk, resize } from "../testdata/mount.ts";

const ROOT = new URL("../", import.meta.url);

/** A stage as a process, and what it says. */
class Process {
  readonly name: string;
  readonly lines: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<void>;
  #hear: () => void = () => {};

  constructor(name: string, args: readonly string[]) {
    this.name = name;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", `cmd/${name}.ts`, "--retry-for", "600", ...args],
      cwd: ROOT,
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#ended = this.#listen();
  }

  async #listen(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.lines.push(...lines);
      this.#hear();
    }
    this.#hear();
  }

  /** Resolves once a line says this. @throws {Error} when the process ends without it */
  async says(pattern: RegExp): Promise<void> {
    let isOver = false;
    const ended = this.#ended.then(() => isOver = true);
    while (!this.lines.some((line) => pattern.test(line))) {
      if (isOver) throw new Error(`${this.name} never said ${pattern}:\n${this.lines.join("\n")}`);
      await Promise.race([ended, new Promise<void>((resolve) => this.#hear = resolve)]);
    }
  }

  /** Whatever went wrong: nothing of it goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#ended;
  }

  stop(): void {
    this.#child.kill("SIGINT");
  }

  /** Resolves at its end, which must be a good one. */
  async ends(): Promise<void> {
    const { code } = await this.#child.status;
    await this.#ended;
    assert.equal(code, 0, `${this.name}:\n${this.lines.join("\n")}`);
  }
}

Deno.test("a flow of processes on full disks waits, goes on by itself when there is room, and its books balance", async () => {
  const root = await Deno.makeTempDir({ prefix: "tapedeck-full-" });
  const [log, hot, lake] = [`${root}/log`, `${root}/hot`, `${root}/lake`];
  const places = ["--data", log, "--hot", `sqlite:${hot}/hot.db`, "--lake", `file:${lake}/lake`];
  const run = (name: string, ...args: string[]) => new Process(name, [...places, ...args]);
  const mounted = (use: () => Promise<void>) =>
    onDisk(log, "size=8m", () => onDisk(hot, "size=2m", () => onDisk(lake, "size=256k", use)));
  try {
    await mounted(async () => {
      const waits = async (...stages: Process[]): Promise<void> => {
        await Promise.all(stages.map((stage) => stage.says(/must have room; trying again for 600 s/)));
        for (const disk of [log, hot, lake]) await resize(disk, "500m");
        await Promise.all(stages.map((stage) => stage.says(/serves again after/)));
      };
      await using validate = run("validate");
      await using simulate = run("simulate", "--ticks", "40000", "--faults", "0.02");
      await waits(simulate, validate);
      await simulate.ends();
      validate.stop();
      await validate.ends();
      await run("validate", "--once").ends();
      for (const [disk, size] of [[hot, "2m"], [lake, "256k"]] as const) await resize(disk, size);
      await using sinkHot = run("sink-hot", "--once");
      await using sinkCold = run("sink-cold", "--unit-rows", "1000", "--once");
      await waits(sinkHot, sinkCold);
      await sinkHot.ends();
      await sinkCold.ends();
      await run("audit", "--once").ends();
    });
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
