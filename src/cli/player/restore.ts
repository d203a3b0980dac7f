import { PostgresEconomy } from '../../adapters/postgres-economy-view.ts';
import { Ledger } from '../../economy/ledger.ts';
import {
  mintedSince,
  planRestore,
  possessionsAt,
  type RestorePlan,
  type RestorePoint,
  restore as restoring,
} from '../../economy/restore.ts';
import { UsageError } from '../frame.ts';
import { EXIT, type PlayerCommand } from './command.ts';

export const restore: PlayerCommand = {
  usage: 'ID --at TIME|POSITION [--apply]',
  help: 'what it takes to bring money and items back to what they were; done only with --apply, and safe to repeat',
  options: { at: { type: 'string' }, apply: { type: 'boolean' } },
  async run({ database, log, isJson, print }, playerId, _operands, values) {
    const point = pointOf(values['at']);
    const then = await possessionsAt(log, playerId, point);
    const minted = await mintedSince(log, playerId, then.position);
    const ledger = await Ledger.open({ log, reader: new PostgresEconomy(database) });
    try {
      const plan = await ledger.query((state) => planRestore(state, playerId, then, minted));
      const { changes, itemsBack, itemsGone } = plan;
      const isNeeded = changes.length + itemsBack.length + itemsGone.length > 0;
      let position = 0;
      // What is more than one event holds is done in several.
      for (let isMore = isNeeded && values['apply'] === true; isMore; ) {
        const outcome = await ledger.execute({ decide: restoring(playerId, then, minted) });
        isMore = outcome.events.length > 0;
        if (isMore) position = outcome.position;
      }
      if (isJson) await print(`${JSON.stringify({ at: then.position, ...plan, applied: position > 0, position })}\n`);
      else {
        await print(textOf(plan, then.position));
        if (position > 0) await print(`Done, at position ${position}.\n`);
        else if (isNeeded) await print('Nothing was done; --apply does it.\n');
      }
      return EXIT.FINE;
    } finally {
      await ledger.close();
    }
  },
};

function pointOf(at: unknown): RestorePoint {
  const text = typeof at === 'string' ? at.trim() : '';
  if (/^\d{1,15}$/.test(text)) return { position: Number(text) };
  const atMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs)) {
    throw new UsageError('--at is a position of the log, or a time such as 2026-11-23T20:00:00Z.');
  }
  return { atMs };
}

function textOf({ changes, itemsBack, itemsGone, itemsLeft, short }: RestorePlan, position: number): string {
  const lines = [
    ...changes.map(([asset, delta]) => `${delta > 0 ? '+' : ''}${delta} ${asset}`),
    ...itemsBack.map(([itemId, kind]) => `back: ${kind} ${itemId}`),
    ...itemsGone.map(([itemId, kind]) => `gone: ${kind} ${itemId}`),
    ...short.map(([asset, missing]) => `${missing} ${asset} too much stay: they are on hold`),
    ...itemsLeft.map(([itemId, why]) => `left as it is: ${itemId}, ${why}`),
  ];
  if (lines.length === 0) return `Everything is as it was at position ${position}.\n`;
  return `To be as at position ${position}:\n${lines.map((line) => `  ${line}\n`).join('')}`;
}
