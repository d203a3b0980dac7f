/**
 * Input frames per second that one process takes in. Players send at the rate of the rooms, as honest ones do, and
 * there are more and more of them, until the 99th percentile of a whole tick passes 80 % of the tick's budget or inputs
 * come in faster than they are consumed; then the border is halved in. Patches are as rare as the configuration allows,
 * so that it is inputs that are measured.
 *
 * Absorbed is what the server reports as consumed in its acknowledgements, not what was sent. `limit` says what stopped a
 * step: `tick` or `backlog` is the server; `driver` is the load itself, and the true number is higher.
 */
import { Stage, type StageReport } from '../driver/stage.ts';
import { atLeast, defineBench, type ResultRow } from './bench.ts';

/** Share of the tick's budget that the 99th percentile may take. */
const BUDGET_SHARE = 0.8;
/** Inputs that the driver could not send, above which the step says nothing about the server. */
const UNSENT_SHARE_MAX = 0.03;
/** Consumed to sent, below which the process has fallen behind; the window's edges cost a little. */
const CONSUMED_SHARE_MIN = 0.97;

type Measured = Omit<StageReport, 'joinsOk' | 'joinsFailed' | 'failures'>;

export default defineBench({
  name: 'throughput',
  summary: 'input frames per second that one process absorbs before its ticks pass 80 % of their budget',
  options: {
    'tick-rate': { type: 'number', default: 60, min: 10, max: 60, help: 'steps, and inputs of a player, a second' },
    'patch-every': { type: 'number', default: 6, min: 1, max: 6, help: 'ticks from patch to patch' },
    'per-room': { type: 'number', default: 50, min: 2, max: 128, quick: 10, help: 'players a room' },
    start: { type: 'number', default: 300, min: 1, max: 10_000, quick: 20, help: 'players of the first step' },
    step: { type: 'number', default: 200, min: 1, max: 5000, quick: 20, help: 'players that each step adds' },
    max: { type: 'number', default: 2000, min: 1, max: 20_000, quick: 40, help: 'players at which it ends anyway' },
    halvings: { type: 'number', default: 2, min: 0, max: 6, quick: 0, help: 'refinements after the first failure' },
    seconds: { type: 'number', default: 6, min: 1, max: 600, quick: 1, help: 'window of every step' },
    settle: { type: 'number', default: 2, min: 0, max: 60, quick: 0.2, help: 'seconds before every window' },
    'joins-per-second': { type: 'number', default: 100, min: 1, max: 1000, help: 'pace of the ramp' },
  },
  async run({ options, progress }) {
    const budgetMs = 1000 / options['tick-rate'];
    const results: ResultRow[] = [];
    let best = 0;

    const stageOf = () =>
      Stage.open({
        subject: 'arena',
        players: 0,
        perRoom: options['per-room'],
        tickRateHz: options['tick-rate'],
        patchEveryTicks: options['patch-every'],
        seconds: options.seconds,
        settleSeconds: options.settle,
        joinsPerSecond: options['joins-per-second'],
        isPinned: true,
        progress,
      });
    /** @returns what stopped it at that many players, or nothing */
    const limitAt = (measured: Measured): string => {
      const unsent = measured.inputsSkipped / measured.seconds;
      if (unsent > UNSENT_SHARE_MAX * (measured.inputsPerSecond + unsent)) return 'driver';
      if (measured.tickP99Ms > BUDGET_SHARE * budgetMs) return 'tick';
      return measured.acksPerSecond < CONSUMED_SHARE_MIN * measured.inputsPerSecond ? 'backlog' : '';
    };
    const keepsUp = (players: number, measured: Measured): boolean => {
      const limit = limitAt(measured);
      if (limit === '') best = Math.max(best, measured.acksPerSecond);
      results.push({
        players,
        inputsPerSecond: measured.inputsPerSecond,
        absorbedPerSecond: measured.acksPerSecond,
        tickP99Ms: measured.tickP99Ms,
        tickLateP99Ms: measured.tickLateP99Ms,
        ticksDropped: measured.ticksDropped,
        serverCpuPercent: measured.serverCpuShare * 100,
        driverCpuPercent: measured.driverCpuShare * 100,
        inputsNotSent: measured.inputsSkipped,
        limit: limit || 'none',
      });
      return limit === '';
    };

    let good = 0;
    let bad = 0;
    let stage = await stageOf();
    try {
      for (let players = options.start; players <= options.max && bad === 0; players += options.step) {
        await stage.join(players - good);
        await stage.settle();
        if (keepsUp(players, await stage.measure())) good = players;
        else bad = players;
      }
      // Joining is not undone: each refinement fills a fresh process.
      for (let i = 0; i < options.halvings && bad - good > 1 && bad > 0; i++) {
        await stage.close();
        const middle = Math.floor((good + bad) / 2);
        stage = await stageOf();
        await stage.join(middle);
        await stage.settle();
        if (keepsUp(middle, await stage.measure())) good = middle;
        else bad = middle;
      }
    } finally {
      await stage.close();
    }
    return { results, goals: [atLeast('input frames absorbed by one process', best, 50_000, '1/s')] };
  },
});
