/**
 * Headless load test: `npm run loadtest -- arena --clients 200 --seconds 30`. See `--help`; the command line itself is
 * driver/load-command.ts, the players are driver/swarm.ts.
 */
import { availableParallelism } from 'node:os';
import { formatReport, ProgressLine, type ResultRow, reportLine, UsageError } from './bench/bench.ts';
import { judge, type LoadCommand, type LoadResult, loadHelp, parseLoadCommand } from './driver/load-command.ts';
import { type Dialect, httpOrigin } from './driver/player.ts';
import { bucketsBetween, bucketsOf, quantileOf, type Sample, sumOf } from './driver/prometheus-text.ts';
import { scrape } from './driver/server-process.ts';
import { type JoinReport, Swarm, type WindowReport } from './driver/swarm.ts';

/** Players over the SDK that one driver process carries at 30 patches/s with some reserve. */
const PLAYERS_PER_WORKER = { sdk: 100, light: 1500 } as const;

const TICK_SECONDS = 'hypogeum_tick_duration_seconds';

/** Runs the load test by command line. @returns the exit code. @throws UsageError */
export async function runLoadTest(argv: readonly string[]): Promise<number> {
  const command = parseLoadCommand(argv);
  if (command === undefined) {
    process.stdout.write(`${loadHelp()}\n`);
    return 0;
  }
  const { options, limits } = command;
  const line = new ProgressLine();
  let outcome: { result: LoadResult; joins: JoinReport; notes: string[] };
  try {
    outcome = await drive(command, (text) => line.show(text));
  } finally {
    line.clear();
  }
  const { result, joins, notes } = outcome;
  const goals = judge(result, limits);
  const out = options.json ? process.stderr : process.stdout;
  out.write(`${formatReport({ results: listed(result), goals })}\n`);
  for (const [reason, count] of Object.entries(joins.failures)) out.write(`${count} joins failed: ${reason}\n`);
  for (const note of notes) out.write(`${note}\n`);
  if (options.json) process.stdout.write(`${reportLine('loadtest', { results: [{ ...result }], goals })}\n`);
  return joins.ok > 0 && goals.every((goal) => goal.met) ? 0 : 1;
}

async function drive(
  { room, options }: LoadCommand,
  progress: (text: string) => void,
): Promise<{ result: LoadResult; joins: JoinReport; notes: string[] }> {
  const mode = options.mode === 'light' ? 'light' : 'sdk';
  const spare = Math.max(1, availableParallelism() - 1);
  const workers = options.workers || Math.min(spare, Math.ceil(options.clients / PLAYERS_PER_WORKER[mode]));
  const perRoom = options.rooms > 0 ? Math.ceil(options.clients / options.rooms) : options['per-room'];
  const swarm = await Swarm.start({
    destination: {
      endpoint: options.endpoint,
      roomName: room,
      dialect: options.dialect as Dialect,
      areAddressesApart: options['distinct-addresses'],
    },
    mode,
    behaviour: 'wander',
    inputsPerSecond: options['inputs-per-second'],
    seed: options.seed,
    namePrefix: 'load-',
    workers,
  });
  const interrupted = () => {
    swarm.stop().finally(() => process.exit(130));
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    const joins = await swarm.ramp({
      players: options.clients,
      perSecond: options['joins-per-second'],
      perRoom,
      onProgress: (ok, failed) => progress(`joining ${ok}/${options.clients}${failed > 0 ? `, ${failed} failed` : ''}`),
    });
    // With nobody there is nothing to wait for.
    const [settle, seconds] = joins.ok > 0 ? [options.settle, options.seconds] : [0, 0];
    await new Promise((resolve) => setTimeout(resolve, settle * 1000));
    const before = await readMetrics(options);
    const window = await swarm.measure(seconds, (left) => progress(`${joins.ok} players, ${left} s left`));
    const after = await readMetrics(options);
    return { joins, ...summarize(joins, window, before, after) };
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    await swarm.stop();
  }
}

async function readMetrics(options: LoadCommand['options']): Promise<Sample[] | string> {
  const url = options['metrics-url'] || `${httpOrigin(options.endpoint)}/metrics`;
  const token = options['metrics-token'] || process.env['HYPOGEUM_METRICS_TOKEN'] || '';
  try {
    return await scrape(url, token === '' ? {} : { authorization: `Bearer ${token}` });
  } catch (error) {
    // The load test is worth something without the server's own view; a limit on it then counts as missed.
    return (error as Error).message;
  }
}

/** @param before what the server's `/metrics` had then, or why it could not be had */
export function summarize(
  joins: JoinReport,
  window: WindowReport,
  before: Sample[] | string,
  after: Sample[] | string,
): { result: LoadResult; notes: string[] } {
  const notes: string[] = [];
  const each = (total: number): number | null => (joins.ok > 0 ? total / joins.ok : null);
  let tickP50Ms: number | null = null;
  let tickP99Ms: number | null = null;
  if (typeof before === 'string' || typeof after === 'string') {
    notes.push(`no tick times: ${typeof before === 'string' ? before : after}`);
  } else {
    if (!after.some(({ name }) => name.startsWith(TICK_SECONDS))) {
      notes.push(
        'no tick times: a process without rooms has answered, such as a gate; --metrics-url takes /metrics of one that runs matches (npm run cluster -- status --json has ports)',
      );
    }
    const ticks = tickBuckets(before, after);
    tickP50Ms = finite(quantileOf(ticks, 0.5) * 1000);
    tickP99Ms = finite(quantileOf(ticks, 0.99) * 1000);
    const late = growth(before, after, 'hypogeum_tick_overruns_total');
    const lost = growth(before, after, 'hypogeum_ticks_dropped_total');
    if (late > 0 || lost > 0) notes.push(`the server counted ${late} late ticks and dropped ${lost}`);
  }
  if (Object.keys(joins.failures).some((reason) => reason.includes('no such method'))) {
    notes.push(
      '--rooms and --per-room have players create rooms, which this server does not let them; how many share one there is HYPOGEUM_MAX_PLAYERS of the server',
    );
  }
  for (const [reason, count] of Object.entries(window.lost)) notes.push(`${count} players lost: ${reason}`);
  const lost = Object.values(window.lost).reduce((sum, count) => sum + count, 0);
  const away = joins.ok - window.players - lost;
  if (away > 0) notes.push(`${away} players were on their way back at the end`);
  if (window.inputsSkipped > 0) {
    notes.push(`the driver could not keep up: ${window.inputsSkipped} inputs not sent; use --workers or --mode light`);
  }
  const result: LoadResult = {
    players: window.players,
    joinsOk: joins.ok,
    joinsFailed: joins.failed,
    rooms: joins.rooms,
    drops: window.dropped,
    resumes: window.resumed,
    lost,
    seconds: window.seconds,
    patchesPerSecond: each(window.patchesPerSecond),
    bytesPerSecond: each(window.bytesPerSecond),
    inputsPerSecond: each(window.inputsPerSecond),
    ackP50Ms: finite(window.ackP50Ms),
    ackP95Ms: finite(window.ackP95Ms),
    ackP99Ms: finite(window.ackP99Ms),
    tickP50Ms,
    tickP99Ms,
    inputsSkipped: window.inputsSkipped,
    driverCpuShare: finite(window.driverCpuShare),
  };
  return { result, notes };
}

/** Whole ticks of all rooms between two scrapes. */
export function tickBuckets(before: readonly Sample[], after: readonly Sample[]): ReadonlyMap<number, number> {
  return bucketsBetween(
    bucketsOf(before, TICK_SECONDS, { phase: 'total' }),
    bucketsOf(after, TICK_SECONDS, { phase: 'total' }),
  );
}

function growth(before: readonly Sample[], after: readonly Sample[], name: string): number {
  return (sumOf(after, name) ?? 0) - (sumOf(before, name) ?? 0);
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** One measure a line reads better than fifteen columns. */
function listed(result: LoadResult): ResultRow[] {
  const units: Record<keyof LoadResult, string> = {
    players: 'connected at the end',
    joinsOk: '',
    joinsFailed: '',
    rooms: '',
    drops: 'connections lost',
    resumes: 'came back by themselves',
    lost: 'players gone for good',
    seconds: 's',
    patchesPerSecond: 'a player',
    bytesPerSecond: 'a player',
    inputsPerSecond: 'a player',
    ackP50Ms: 'ms',
    ackP95Ms: 'ms',
    ackP99Ms: 'ms',
    tickP50Ms: 'ms',
    tickP99Ms: 'ms',
    inputsSkipped: '',
    driverCpuShare: 'of one core',
  };
  return (Object.keys(units) as (keyof LoadResult)[]).map((measure) => ({
    measure,
    value: result[measure],
    unit: units[measure],
  }));
}

if (import.meta.main) {
  runLoadTest(process.argv.slice(2)).then(
    (code) => {
      process.exitCode = code;
    },
    (error: unknown) => {
      const isUsage = error instanceof UsageError;
      process.stderr.write(`${isUsage ? `${error.message}\n\n${loadHelp()}` : (error as Error).stack}\n`);
      process.exitCode = isUsage ? 2 : 1;
    },
  );
}
