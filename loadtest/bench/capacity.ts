/**
 * How many players one core serves at 20 patches a second: the arena with everything on, a Colyseus room of the same
 * game written the usual way, and bare `ws` that sends as many frames of the same size.
 *
 * CPU is the server process's own, all threads, user and system, over a window in the steady state; players per core is
 * players / share of a core, a linear extrapolation. The order of the subjects turns round with every round.
 */

import { separateCpus } from '../driver/server-process.ts';
import { runStage, type StageReport } from '../driver/stage.ts';
import { alternate, atLeast, defineBench, median, type ResultRow } from './bench.ts';

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
  async run({ options, progress }) {
    let rawFrameBytes = Number.NaN;
    const reports = await alternate<CapacitySubject, StageReport>(SUBJECTS, options.rounds, async (subject, round) => {
      const report = await runStage({
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
      // The arena is measured before the first raw run, so that the floor knows what to send.
      if (subject === 'arena') rawFrameBytes = report.frameBytes;
      return report;
    });
    const perCore = (report: StageReport) => report.players / report.serverCpuShare;
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
