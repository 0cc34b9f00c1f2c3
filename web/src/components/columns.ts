/** A column of a DataList; its cell is the slot `cell-<key>`. */
export interface Column {
  key: string
  label: string
  /** Of the CSS grid: `minmax(10rem, 2fr)`, `7rem`; default `minmax(0, 1fr)`. */
  width?: string
  align?: 'start' | 'end'
  /** From which width of the window on it is shown; what stands in `narrow` must do until then. */
  from?: 'sm' | 'md' | 'lg' | 'xl' | '2xl'
  /** Not shown, only read out: for buttons. */
  hiddenLabel?: boolean
  /** Its head sorts by this, a word of the API. */
  sort?: string
  /** The first click on its head sorts downwards: the newest, the most. */
  down?: boolean
  /** Shown only when somebody chose it (`useColumnChoice`). */
  off?: boolean
  /** Always shown. */
  fixed?: boolean
}

/** By which column a list is sorted. */
export interface Sorted {
  by: string
  descending: boolean
}

export type ShownState = 'idle' | 'loading' | 'empty' | 'error' | 'done'
