/** The images around the one that is looked at, nearest first, a few at a time. */

/** Indices of a stack in the order in which they will be wanted: around `index`, a little more ahead than behind. */
export function around(index: number, length: number, ahead = 2): number[] {
  const order: number[] = []
  let forward = index + 1
  let backward = index - 1
  while (forward < length || backward >= 0) {
    for (let step = 0; step < ahead && forward < length; step += 1) order.push(forward++)
    if (backward >= 0) order.push(backward--)
  }
  return order
}

/** Loads what `load` is given, nearest to the place first. `move` says where one looks now; `stop` ends it. */
export class Prefetch {
  private order: number[] = []
  private readonly done = new Set<number>()
  private running = 0
  private stopped = false

  constructor(
    private readonly length: number,
    private readonly load: (index: number) => Promise<unknown>,
    private readonly most = 4,
    private readonly limit = 1000,
  ) {}

  move(index: number): void {
    this.done.add(index)
    this.order = around(index, this.length).slice(0, this.limit).filter((one) => !this.done.has(one))
    this.fill()
  }

  stop(): void {
    this.stopped = true
    this.order = []
  }

  get loaded(): number {
    return this.done.size
  }

  private fill(): void {
    while (!this.stopped && this.running < this.most && this.order.length) {
      const index = this.order.shift() as number
      if (this.done.has(index)) continue
      this.done.add(index)
      this.running += 1
      // One that fails is asked for again when somebody looks at it, and says then why.
      void this.load(index)
        .catch(() => undefined)
        .finally(() => {
          this.running -= 1
          this.fill()
        })
    }
  }
}
