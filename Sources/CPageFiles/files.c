// C embeds files at once; Swift takes minutes over as many bytes written as numbers.
#pragma clang diagnostic ignored "-Wc23-extensions"

#include "CPageFiles.h"

static const unsigned char api_js[] = {
#embed "../WardenControl/Page/api.js"
};

static const unsigned char app_css[] = {
#embed "../WardenControl/Page/app.css"
};

static const unsigned char app_js[] = {
#embed "../WardenControl/Page/app.js"
};

static const unsigned char charts_js[] = {
#embed "../WardenControl/Page/charts.js"
};

static const unsigned char decisions_js[] = {
#embed "../WardenControl/Page/decisions.js"
};

static const unsigned char icon_svg[] = {
#embed "../WardenControl/Page/icon.svg"
};

static const unsigned char index_html[] = {
#embed "../WardenControl/Page/index.html"
};

static const unsigned char key_js[] = {
#embed "../WardenControl/Page/key.js"
};

static const unsigned char login_js[] = {
#embed "../WardenControl/Page/login.js"
};

static const unsigned char now_js[] = {
#embed "../WardenControl/Page/now.js"
};

static const unsigned char orders_js[] = {
#embed "../WardenControl/Page/orders.js"
};

static const unsigned char rule_js[] = {
#embed "../WardenControl/Page/rule.js"
};

static const unsigned char shell_js[] = {
#embed "../WardenControl/Page/shell.js"
};

static const unsigned char text_js[] = {
#embed "../WardenControl/Page/text.js"
};

static const unsigned char theme_js[] = {
#embed "../WardenControl/Page/theme.js"
};

static const struct page_file files[] = {
  {"/api.js", "text/javascript; charset=utf-8", api_js, sizeof api_js},
  {"/app.css", "text/css; charset=utf-8", app_css, sizeof app_css},
  {"/app.js", "text/javascript; charset=utf-8", app_js, sizeof app_js},
  {"/charts.js", "text/javascript; charset=utf-8", charts_js, sizeof charts_js},
  {"/decisions.js", "text/javascript; charset=utf-8", decisions_js, sizeof decisions_js},
  {"/icon.svg", "image/svg+xml", icon_svg, sizeof icon_svg},
  {"/", "text/html; charset=utf-8", index_html, sizeof index_html},
  {"/key.js", "text/javascript; charset=utf-8", key_js, sizeof key_js},
  {"/login.js", "text/javascript; charset=utf-8", login_js, sizeof login_js},
  {"/now.js", "text/javascript; charset=utf-8", now_js, sizeof now_js},
  {"/orders.js", "text/javascript; charset=utf-8", orders_js, sizeof orders_js},
  {"/rule.js", "text/javascript; charset=utf-8", rule_js, sizeof rule_js},
  {"/shell.js", "text/javascript; charset=utf-8", shell_js, sizeof shell_js},
  {"/text.js", "text/javascript; charset=utf-8", text_js, sizeof text_js},
  {"/theme.js", "text/javascript; charset=utf-8", theme_js, sizeof theme_js},
};

const struct page_file *page_file(size_t number) {
  return number < sizeof files / sizeof files[0] ? &files[number] : NULL;
}
