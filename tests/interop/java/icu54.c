/* The eight functions of ICU that Couchbase Lite's core calls, under the names of ICU 54.
 *
 * libLiteCore.so 3.0 for Linux is linked against ICU 54 (libicuuc.so.54 and two more), which no
 * current distribution has, and whose function names end in the version. This library answers to
 * those names and hands each call to the ICU that is installed: the C interface has not changed.
 * Built by tests/interop/place.py.
 */

#include <unicode/ucasemap.h>
#include <unicode/ucol.h>

UCaseMap *ucasemap_open_54(const char *locale, uint32_t options, UErrorCode *error) {
  return ucasemap_open(locale, options, error);
}

void ucasemap_close_54(UCaseMap *map) { ucasemap_close(map); }

int32_t ucasemap_utf8ToLower_54(const UCaseMap *map, char *to, int32_t capacity, const char *from,
                                int32_t length, UErrorCode *error) {
  return ucasemap_utf8ToLower(map, to, capacity, from, length, error);
}

int32_t ucasemap_utf8ToUpper_54(const UCaseMap *map, char *to, int32_t capacity, const char *from,
                                int32_t length, UErrorCode *error) {
  return ucasemap_utf8ToUpper(map, to, capacity, from, length, error);
}

UCollator *ucol_open_54(const char *locale, UErrorCode *error) { return ucol_open(locale, error); }

void ucol_close_54(UCollator *collator) { ucol_close(collator); }

void ucol_setAttribute_54(UCollator *collator, UColAttribute attribute, UColAttributeValue value,
                          UErrorCode *error) {
  ucol_setAttribute(collator, attribute, value, error);
}

UCollationResult ucol_strcollUTF8_54(const UCollator *collator, const char *a, int32_t a_length,
                                     const char *b, int32_t b_length, UErrorCode *error) {
  return ucol_strcollUTF8(collator, a, a_length, b, b_length, error);
}
