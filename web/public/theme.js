// Before the first paint: dark or light, so that no page flashes. A file of its own, as no script may stand in the page.
(function () {
  var wish = null
  try {
    wish = localStorage.getItem('gantry-theme')
  } catch (error) {
    // a browser that keeps nothing follows the system
  }
  var dark = wish === 'dark' || (wish !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.classList.add(dark ? 'dark' : 'light')
})()
