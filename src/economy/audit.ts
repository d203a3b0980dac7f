/**
 * Checks the ledger by the log alone, with a fold of its own: what the rest of the program believes is compared with it,
 * not used by it.
 */
import {
  ACCOUNT,
  Captured,
  ECONOMY_STREAM,
  Held,
  type Posting,
  postingOf,
  Released,
  TradeCancelled,
  TradeOpened,
  TradeSettled,
} from '../events/economy-events.ts';
import type { EventLog, StoredEvent } from '../events/event-log.ts';
import type { LedgerSnapshot } from './ledger-state.ts';

/** Faults that are told one by one; more are counted. */
const FAULTS_MAX = 100;
const PROGRESS_EVERY = 10_000;

export interface AuditReport {
  readonly events: number;
  readonly accounts: number;
  readonly items: number;
  readonly openHolds: number;
  readonly openTrades: number;
  /** By asset: what was minted and is still in somebody's hands, in escrow or kept as fees; minor units. */
  readonly inCirculation: ReadonlyMap<string, number>;
  /** Each says what is wrong and where, the first {@link FAULTS_MAX}. */
  readonly faults: readonly string[];
  readonly faultsTotal: number;
}

export interface AuditOptions {
  /** A view of the same stream; it has to be the fold of the log at its own place. */
  readonly view?: LedgerSnapshot;
  /** Event of the stream that the view has to have folded. Default 0: however far it is. */
  readonly viewSeqMin?: number;
  /** What is wrong with the view already, such as that it is not there. */
  readonly viewFaults?: readonly string[];
  readonly onProgress?: (events: number) => void;
}

/** @throws what reading the log throws */
export async function auditEconomy(log: Pick<EventLog, 'read'>, options: AuditOptions = {}): Promise<AuditReport> {
  const audit = new Audit();
  const { view, viewSeqMin = 0, viewFaults = [], onProgress } = options;
  for (const fault of viewFaults) audit.fault(fault);
  let isCompared = view === undefined;
  const compareAt = (seq: number): void => {
    if (isCompared || view!.seq !== seq) return;
    isCompared = true;
    audit.compare(view!);
  };
  compareAt(0);
  for await (const event of log.read(ECONOMY_STREAM)) {
    audit.add(event);
    compareAt(event.seq);
    if (event.seq % PROGRESS_EVERY === 0) onProgress?.(event.seq);
  }
  if (!isCompared) audit.fault(`the view stands at event ${view!.seq}, which the log does not have`);
  if (view !== undefined && view.seq < viewSeqMin) {
    const behind = viewSeqMin - view.seq;
    audit.fault(`the view has folded ${view.seq} of ${viewSeqMin} events and is ${behind} behind`);
  }
  return audit.report();
}

class Audit {
  readonly #balances = new Map<string, Map<string, number>>();
  readonly #owners = new Map<string, { kind: string; owner: string }>();
  readonly #holds = new Map<string, string>();
  readonly #trades = new Set<string>();
  readonly #faults: string[] = [];
  #faultsTotal = 0;
  #seq = 0;

  fault(text: string): void {
    this.#faultsTotal++;
    if (this.#faults.length < FAULTS_MAX) this.#faults.push(text);
  }

  add(event: StoredEvent): void {
    const { seq, position, type } = event;
    const at = `position ${position} (${type})`;
    if (seq !== this.#seq + 1) this.fault(`${at}: event ${seq} of the stream follows event ${this.#seq}`);
    this.#seq = seq;
    const { holdId, tradeId, playerId } = event.payload as Record<'holdId' | 'tradeId' | 'playerId', string>;
    if (type === Held.type) {
      if (this.#holds.has(holdId)) this.fault(`${at}: hold ${holdId} is open already`);
      this.#holds.set(holdId, playerId);
    }
    const posting = postingOf(event.payload);
    if (posting !== undefined) this.#post(posting, at);
    if (type === Released.type || type === Captured.type) {
      if (!this.#holds.delete(holdId)) this.fault(`${at}: hold ${holdId} is not open`);
      const escrow = `escrow:${holdId}`;
      if (this.#balances.has(escrow)) this.fault(`${at}: hold ${holdId} was closed with something left in it`);
    } else if (type === TradeOpened.type) {
      if (this.#trades.has(tradeId)) this.fault(`${at}: trade ${tradeId} is open already`);
      this.#trades.add(tradeId);
    } else if (type === TradeSettled.type || type === TradeCancelled.type) {
      if (!this.#trades.delete(tradeId)) this.fault(`${at}: trade ${tradeId} is not open`);
    }
  }

  #post({ legs, items }: Posting, at: string): void {
    const sums = new Map<string, number>();
    for (const [account, asset, delta] of legs) {
      if (!ACCOUNT.test(account)) this.fault(`${at}: ${account} is no account`);
      const escrowOf = account.startsWith('escrow:') ? account.slice('escrow:'.length) : undefined;
      if (escrowOf !== undefined && !this.#holds.has(escrowOf)) this.fault(`${at}: ${account} belongs to no open hold`);
      sums.set(asset, (sums.get(asset) ?? 0) + delta);
      const balances = this.#balances.get(account) ?? new Map<string, number>();
      this.#balances.set(account, balances);
      const after = (balances.get(asset) ?? 0) + delta;
      if (!Number.isSafeInteger(after)) this.fault(`${at}: ${account} has ${after} ${asset}, which is not exact`);
      if (after === 0) balances.delete(asset);
      else balances.set(asset, after);
      if (balances.size === 0) this.#balances.delete(account);
    }
    for (const [account, asset] of legs) {
      const after = this.#balances.get(account)?.get(asset) ?? 0;
      if (after < 0 && account !== 'mint') this.fault(`${at}: ${account} is at ${after} ${asset}`);
    }
    for (const [asset, sum] of sums) if (sum !== 0) this.fault(`${at}: its legs of ${asset} sum to ${sum}`);
    for (const [itemId, kind, from, to] of items) {
      const item = this.#owners.get(itemId);
      if (from === 'mint' ? item !== undefined : item?.owner !== from) {
        this.fault(`${at}: item ${itemId} comes from ${from} but is with ${item?.owner ?? 'nobody'}`);
      }
      if (item !== undefined && item.kind !== kind) this.fault(`${at}: item ${itemId} was a ${item.kind}`);
      this.#owners.set(itemId, { kind, owner: to });
    }
  }

  /** Row by row, both ways. */
  compare(view: LedgerSnapshot): void {
    const left = new Map<string, number>();
    for (const [account, balances] of this.#balances) {
      for (const [asset, amount] of balances) left.set(`${account} ${asset}`, amount);
    }
    for (const [account, asset, amount] of view.balances) {
      const name = `${account} ${asset}`;
      if ((left.get(name) ?? 0) !== amount) {
        this.fault(`the view says ${name} is ${amount}; the log, ${left.get(name) ?? 0}`);
      }
      left.delete(name);
    }
    for (const [name, amount] of left) this.fault(`the view does not have ${name}, which is ${amount}`);
    const owners = new Map(this.#owners);
    for (const [itemId, kind, owner] of view.items) {
      const item = owners.get(itemId);
      if (item?.owner !== owner || item.kind !== kind) {
        this.fault(`the view says ${itemId} is a ${kind} of ${owner}; the log, of ${item?.owner ?? 'nobody'}`);
      }
      owners.delete(itemId);
    }
    for (const itemId of owners.keys()) this.fault(`the view does not have item ${itemId}`);
    const holds = new Set(this.#holds.keys());
    for (const { holdId } of view.holds)
      if (!holds.delete(holdId)) this.fault(`the view has hold ${holdId}, which is closed`);
    for (const holdId of holds) this.fault(`the view does not have hold ${holdId}`);
    const trades = new Set(this.#trades);
    for (const { tradeId } of view.trades) {
      if (!trades.delete(tradeId)) this.fault(`the view has trade ${tradeId}, which is closed`);
    }
    for (const tradeId of trades) this.fault(`the view does not have trade ${tradeId}`);
  }

  report(): AuditReport {
    const inCirculation = new Map<string, number>();
    const sums = new Map<string, bigint>();
    const backed = new Set<string>();
    for (const [account, balances] of this.#balances) {
      for (const [asset, amount] of balances) {
        sums.set(asset, (sums.get(asset) ?? 0n) + BigInt(amount));
        if (account.startsWith('escrow:')) backed.add(account.slice('escrow:'.length));
        if (account !== 'mint' && account !== 'sink')
          inCirculation.set(asset, (inCirculation.get(asset) ?? 0) + amount);
      }
    }
    for (const [itemId, { owner }] of this.#owners) {
      if (!owner.startsWith('escrow:')) continue;
      const holdId = owner.slice('escrow:'.length);
      backed.add(holdId);
      if (!this.#holds.has(holdId)) this.fault(`item ${itemId} is in hold ${holdId}, which is not open`);
    }
    for (const [asset, sum] of sums) if (sum !== 0n) this.fault(`all accounts of ${asset} sum to ${sum}`);
    for (const holdId of backed) if (!this.#holds.has(holdId)) this.fault(`escrow:${holdId} belongs to no open hold`);
    for (const holdId of this.#holds.keys()) if (!backed.has(holdId)) this.fault(`hold ${holdId} is open and empty`);
    return {
      events: this.#seq,
      accounts: this.#balances.size,
      items: this.#owners.size,
      openHolds: this.#holds.size,
      openTrades: this.#trades.size,
      inCirculation,
      faults: this.#faults,
      faultsTotal: this.#faultsTotal,
    };
  }
}
