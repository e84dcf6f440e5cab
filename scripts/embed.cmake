# Writes the bytes of IN as a C array to OUT.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include <stddef.h>\nextern const unsigned char ui_index_html[];\nextern const size_t ui_index_html_size;\nconst unsigned char ui_index_html[] = {${bytes}0};\nconst size_t ui_index_html_size = sizeof(ui_index_html) - 1;\n")
