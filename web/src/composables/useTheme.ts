import { readonly, ref } from 'vue'

export type Theme = 'system' | 'light' | 'dark'

const KEPT = 'gantry-theme'
const system = matchMedia('(prefers-color-scheme: dark)')

function kept(): Theme {
  try {
    const wish = localStorage.getItem(KEPT)
    return wish === 'dark' || wish === 'light' ? wish : 'system'
  } catch {
    return 'system'
  }
}

const theme = ref<Theme>(kept())

function paint(): void {
  const dark = theme.value === 'dark' || (theme.value === 'system' && system.matches)
  document.documentElement.classList.toggle('dark', dark)
  document.documentElement.classList.toggle('light', !dark)
}

system.addEventListener('change', paint)

/** Dark, light, or as the system has it; public/begin.js does the same before the first paint. */
export function useTheme() {
  return {
    theme: readonly(theme),
    choose(wish: Theme): void {
      theme.value = wish
      try {
        if (wish === 'system') localStorage.removeItem(KEPT)
        else localStorage.setItem(KEPT, wish)
      } catch {
        // kept for this page alone
      }
      paint()
    },
  }
}
