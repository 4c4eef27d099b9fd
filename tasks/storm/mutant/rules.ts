/**
 * The guards of rules: a file comes into force once and everywhere or not at all, verdicts tell by which rules, numbers
 * begin anew by evidence alone, and no wild price is a reference.
 *
 * **Knows** `mutant`.
 */
import { line, type Mutant } from "../mutant.ts";

const FILES = ["tasks/rules_test.ts"], JUDGE = ["lib/judge_test.ts"], POLICY = ["lib/rule_policy_test.ts"];
const SERIES = ["lib/sequence_test.ts"], ENACT = ["lib/enactment_test.ts"];

export const RULES: readonly Mutant[] = [
  line("severities that a rule may have", "lib/rule/policy.ts", "bound?.may ?? SEVERITIES", FILES, {
    put: "SEVERITIES",
  }),
  line(
    "severities of what is no tick",
    "lib/rule/policy.ts",
    "if (venue === undefined && symbol === undefined && type === undefined) return;",
    FILES,
    { put: "if (severity !== null) return;" },
  ),
  line(
    "rules that are in force are not said again",
    "lib/enactment.ts",
    "if (record === (before?.record ?? recordOf([]))) return",
    FILES,
    {
      put: "if (false as boolean) return",
    },
  ),
  line("rules that were half said", "lib/enactment.ts", "before?.isDone === false ?", ENACT, {
    put: "(false as boolean) ?",
  }),
  line("rules are kept before they are said", "lib/enactment.ts", "    await keep(record, false, []);", ENACT),
  line(
    "synced before rules are in force",
    "lib/enactment.ts",
    "    await Promise.all(places.map((_, partition) => log.sync(TOPICS.raw, partition)));",
    ENACT,
  ),
  line(
    "log that rules were said to",
    "lib/enactment.ts",
    '  assertSame("apply rules", before?.tape ?? {}, tape);',
    ENACT,
  ),
  line("version that verdicts carry", "lib/judge.ts", "    this.#control = offset;", JUDGE),
  line("version behind a resume", "lib/judge.ts", "    this.#control = saved.control;", JUDGE),
  line("the later entry counts", "lib/rule/policy.ts", "entries.findLast((entry) => entry.severity", POLICY, {
    put: "entries.find((entry) => entry.severity",
  }),
  line("whom an entry speaks of", "lib/rule/policy.ts", "fitsPattern(symbol, entry.symbol)", JUDGE, {
    put: "symbol.length > 0",
  }),
  line("policies end with their rules", "lib/register.ts", "        subject.policies[type] = null;", JUDGE),
  line("policy of what is no tick ends with its rules", "lib/register.ts", "    this.#policyOfNone = null;", JUDGE),
  line("rules in a saved state", "lib/register.ts", "{ rules: this.#policies.entries }", JUDGE, { put: "{}" }),
  line("as severe as the severest", "lib/judge.ts", "(refused & ~policy.quarantines) === 0", JUDGE, {
    put: "(refused & policy.quarantines) !== 0",
  }),
  line("numbers begin anew with a connection", "lib/judge.ts", 'tick.state === "connected") register', JUDGE, {
    put: "tick.state.length > 0) register",
  }),
  line(
    "numbers begin anew with a session",
    "lib/judge.ts",
    "hours.isAnother(series.newest, eventTime)) series",
    JUDGE,
    {
      put: "eventTime > series.newest) series",
    },
  ),
  line("numbers begin anew with the venue", "lib/sequence.ts", "restart.sequence === sequence", JUDGE, {
    put: "sequence !== null",
  }),
  line("no fall begins numbers anew by itself", "lib/sequence.ts", "this.#renewed && this.#isAnew", SERIES, {
    put: "this.#isAnew",
  }),
  line("what is told again begins nothing", "lib/sequence.ts", "at > this.#newest : sequence", SERIES, {
    put: "at > 0 : sequence",
  }),
  line("a fall within the window begins nothing", "lib/sequence.ts", ": sequence < this.#lowest(window);", SERIES, {
    put: ": sequence < this.#highest;",
  }),
  line("what is rejected begins nothing", "lib/sequence.ts", '        if (isRefused) return "none";', SERIES),
  line(
    "numbers that went on begin nothing",
    "lib/sequence.ts",
    "      this.#renewed = false;\n    }\n    if (ahead",
    SERIES,
    {
      put: "    }\n    if (ahead",
    },
  ),
  line("what was fetched begins nothing", "lib/judge.ts", "isLive(tick) || tick.redriven !== undefined\n", JUDGE, {
    put: "tick.sequence !== null\n",
  }),
  line(
    "one price alone moves no reference",
    "lib/rule/memory.ts",
    "if (++this.#rivals < this.#agreed) return;",
    POLICY,
    {
      put: "this.#rivals++;",
    },
  ),
  line(
    "wild prices that agree with nothing",
    "lib/rule/memory.ts",
    "if (this.#rivals === 0 || isApart(price, this.#rival, bps)) this.#rivals = 0;",
    POLICY,
  ),
  line("wild prices that are far between", "lib/rule/memory.ts", "      this.#rivals = 0;\n    } else {", POLICY, {
    put: "    } else {",
  }),
  line("few prices are no reference", "lib/rule/memory.ts", "this.#agreed >= PRICES_MIN && ", POLICY, { put: "" }),
  line("a price that another rule refuses", "lib/judge.ts", "(found & policy.refuses) === OUTLIER && ", JUDGE, {
    put: "",
  }),
  line("a price that is late", "lib/judge.ts", "if (!isLive(tick) || (found & LATE) !== 0) return;", JUDGE, {
    put: "if (!isLive(tick)) return;",
  }),
  line("a price that was fetched", "lib/judge.ts", "!isLive(tick) || (found & LATE)", JUDGE, { put: "(found & LATE)" }),
  line("outliers of what may be negative", "lib/rule.ts", "&& isLive(tick) && !(terms !== null && terms.negative)", [
    "lib/rule_test.ts",
    ...JUDGE,
  ], { put: "&& isLive(tick)" }),
  line("a time that cannot be moves no watermark", "lib/judge.ts", " && (found & FUTURE) === 0", JUDGE, { put: "" }),
  line("a venue's clock is believed slowly", "lib/rule/memory.ts", "Math.min(lag - clock.delay, DELAY_STEP)", POLICY, {
    put: "lag - clock.delay",
  }),
];
