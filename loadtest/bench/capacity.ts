/**
 * How many players one core serves at 20 patches a second: the arena with everything on, a Colyseus room of the same
 * game written the usual way, and bare `ws` that sends as many frames of the same size.
 *
 * CPU is the server process's own, all threads, user and system, over a window in the steady state; players per core is
 * players / share of a core, a linear extrapolation. The order of the subjects turns round with every round.
 *
 * A server that is starved of CPU sheds patches and looks cheap. A run in which players got or sent less than they
 * should is therefore repeated; what it still lacks after that is taken off its players per core.
 */

import { separateCpus } from '../driver/server-process.ts';
import { runStage, type StageReport } from '../driver/stage.ts';
import { alternate, atLeast, defineBench, median, type ResultRow } from './bench.ts';

/** Of the nominal patches and inputs, below which a run is repeated, and how often at most. */
const DELIVERED_SHARE_MIN = 0.97;
const REPEATS_MAX = 2;

const SUBJECTS = ['arena', 'plain', 'raw'] as const;
type CapacitySubject = (typeof SUBJECTS)[number];

export default defineBench({
  name: 'capacity',
  summary: 'players per core at 20 patches/s: the arena, a usual Colyseus room, bare ws',
  options: {
    clients: { type: 'number', default: 800, min: 2, max: 5000, quick: 20, help: 'players on the server' },
    'per-room': { type: 'number', default: 50, min: 2, max: 128, quick: 10, help: 'players a room' },
    seconds: { type: 'number', default: 10, min: 1, max: 600, quick: 1, help: 'measured window' },
    settle: { type: 'number', default: 3, min: 0, max: 60, quick: 0.2, help: 'seconds between last join and window' },
    rounds: { type: 'number', default: 3, min: 1, max: 50, quick: 1, help: 'runs of every subject' },
    'tick-rate': { type: 'number', default: 20, min: 10, max: 60, help: 'steps, and inputs of a player, a second' },
    'patch-every': { type: 'number', default: 1, min: 1, max: 6, help: 'ticks from patch to patch' },
    'joins-per-second': { type: 'number', default: 100, min: 1, max: 1000, help: 'pace of the ramp' },
  },
  async run({ options, isQuick, progress }) {
    const patchRateHz = options['tick-rate'] / options['patch-every'];
    /** The lesser of patches and inputs against what they should be, 0 to 1. */
    const deliveredShare = (report: StageReport): number =>
      Math.min(
        1,
        report.patchesPerSecond / report.players / patchRateHz,
        report.inputsPerSecond / report.players / options['tick-rate'],
      );
    let rawFrameBytes = Number.NaN;
    const reports = await alternate<CapacitySubject, StageReport>(SUBJECTS, options.rounds, async (subject, round) => {
      let report: StageReport | undefined;
      for (let tries = 0; tries <= REPEATS_MAX; tries++) {
        const again = await runStage({
          subject,
          players: options.clients,
          perRoom: options['per-room'],
          tickRateHz: options['tick-rate'],
          patchEveryTicks: options['patch-every'],
          seconds: options.seconds,
          settleSeconds: options.settle,
          joinsPerSecond: options['joins-per-second'],
          isPinned: true,
          progress: (text) => progress(`round ${round + 1}/${options.rounds} ${text}`),
          ...(subject === 'raw' ? { rawFrameBytes } : {}),
        });
        if (report === undefined || deliveredShare(again) > deliveredShare(report)) report = again;
        if (isQuick || deliveredShare(report) >= DELIVERED_SHARE_MIN) break;
      }
      if (report === undefined) throw new Error('no run was made');
      // The arena is measured before the first raw run, so that the floor knows what to send.
      if (subject === 'arena') rawFrameBytes = report.frameBytes;
      return report;
    });
    const perCore = (report: StageReport) => (report.players * deliveredShare(report)) / report.serverCpuShare;
    const pinning = separateCpus() === undefined ? 'not bound' : 'server and load on a CPU each';
    const results: ResultRow[] = SUBJECTS.map((subject) => {
      const runs = reports[subject];
      const middle = (pick: (report: StageReport) => number) => median(runs.map(pick));
      return {
        subject,
        clientsPerCore: middle(perCore),
        lowest: Math.min(...runs.map(perCore)),
        highest: Math.max(...runs.map(perCore)),
        serverCpuPercent: middle((r) => r.serverCpuShare * 100),
        deliveredPercent: middle((r) => deliveredShare(r) * 100),
        patchesPerSecond: middle((r) => r.patchesPerSecond / r.players),
        inputsPerSecond: middle((r) => r.inputsPerSecond / r.players),
        frameBytes: middle((r) => r.frameBytes),
        ackP99Ms: middle((r) => r.ackP99Ms),
        tickP99Ms: middle((r) => r.tickP99Ms),
        loopDelayP99Ms: middle((r) => r.loopDelayP99Ms),
        driverCpuPercent: middle((r) => r.driverCpuShare * 100),
        dropped: runs.reduce((sum, r) => sum + r.dropped + r.joinsFailed, 0),
        runs: runs.length,
        cpus: pinning,
      };
    });
    const ratio = (to: CapacitySubject) =>
      median(reports.arena.map((run, round) => perCore(run) / perCore(reports[to][round]!)));
    return {
      results,
      goals: [
        atLeast('arena to plain Colyseus, median of rounds', ratio('plain'), 1, ''),
        atLeast('arena to raw ws, median of rounds', ratio('raw'), 0.7, ''),
      ],
    };
  },
});
