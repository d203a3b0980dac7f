/** Takes players out of the economy whose account was erased. */
import { AccountErased } from '../events/account-events.ts';
import { isEvent } from '../events/event.ts';
import type { Reactor } from '../events/projection.ts';
import { erase } from './decide.ts';
import type { Ledger } from './ledger.ts';

export function erasureReactor(ledger: Pick<Ledger, 'execute'>): Reactor {
  return {
    name: 'economy-erasure',
    types: [AccountErased.type],
    async react(event) {
      if (!isEvent(AccountErased, event)) return;
      const { playerId } = event.payload;
      const decide = erase(playerId, `event/${event.position}`);
      // A part takes 256 items at most. Done again from the start, it finds that there is nothing to do.
      for (;;) {
        const { events } = await ledger.execute({ decide });
        if (events.length === 0) return;
      }
    },
  };
}
